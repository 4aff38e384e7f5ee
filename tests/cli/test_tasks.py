"""`quorate eval tasks`."""

from __future__ import annotations

import json

import pytest

from quorate.cli.tasks import tasks


@pytest.mark.parametrize(("name", "needs"), [("stories", False), ("everyday", False), ("jsonl", True), ("aiw", True)])
def test_only_a_task_without_questions_of_its_own_needs_a_file(
    name: str, needs: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks([name], as_json=True)
    assert ("--data" in json.loads(capsys.readouterr().out)["tasks"][0]["needs"]) is needs
