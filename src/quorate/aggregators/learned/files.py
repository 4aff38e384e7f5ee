"""The files that `quorate train` writes: JSON that people can read and that runs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Self

from pydantic import ValidationError

from quorate.orchestrator.errors import BadInput, DataError
from quorate.orchestrator.frozen import Frozen, first_fault


class LearnedFile(Frozen):
    """Base of what a file holds; a class has `format` and `version` as literals."""

    kind: ClassVar[str]
    """What it is called in errors: `selector`, `cascade`, `router`."""
    current: ClassVar[int] = 1
    """The version that is written and read."""

    def save(self, path: Path | str) -> None:
        """Writes the file, whole or not at all.

        Raises:
            BadInput: it cannot be written.
        """
        target = Path(path)
        draft = target.with_name(target.name + ".new")
        try:
            draft.write_text(json.dumps(self.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
            draft.replace(target)
        except OSError as error:
            raise BadInput(f"{path}: cannot be written: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Reads what `save` wrote; nothing in the file is ever run.

        Raises:
            DataError: there is no such file, it holds something else, or another version made it.
        """
        try:
            content = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise DataError(f"cannot be read: {error.strerror}", file=path) from error
        except (ValueError, RecursionError) as error:
            raise DataError(f"no {cls.kind}, not even JSON: {error}", file=path) from None
        if isinstance(content, dict) and content.get("version", cls.current) != cls.current:
            raise DataError(
                f"a {cls.kind} of version {content['version']}, and this quorate reads version {cls.current}: "
                "train it again, or use the quorate that made it",
                file=path,
                field="version",
            )
        try:
            learned = cls.model_validate(content)
        except ValidationError as error:
            field, words = first_fault(error)
            raise DataError(f"no {cls.kind}: {words}", file=path, field=field or None) from None
        learned.check(path)
        return learned

    def check(self, path: Path | str) -> None:
        """Refuses what this version cannot use.

        Raises:
            DataError: something in it is unknown.
        """
