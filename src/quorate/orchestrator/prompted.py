"""An agent with words of its own: a template around the question, a system message, a beginning of its answer.

    terse = prompted(qwen, system="Answer in one line.")
    steps = prompted(qwen, "Think step by step.\n{{ question }}", prefill="1.", name="steps")
    critic = prompted(qwen, "critic.jinja", sampling=SamplingParams(temperature=0.2))

Several of them over one model make a pool of differing agents (personas, languages, formats) at the price of none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from quorate.prompts import Prompt, PromptError

from .checks import check_model, check_value
from .context import RunContext
from .errors import BadInput, Misconfigured
from .identity import Identity
from .model import Agent, Wrapper
from .partial import PartialCandidate
from .protocols import Model, Sampler, is_sampler
from .types import Answer, Message, Question, SamplingParams

SUFFIX = ".jinja"
GO_ON = {"add_generation_prompt": False, "continue_final_message": True}
"""What vLLM, SGLang and the models in this process are told, so that an answer goes on from its beginning."""


class Words:
    """What an agent puts around a question.

    Args:
        template: text of a Jinja template, or a file that holds it; it may name `question`, the text of the last
            user message, whose place it takes, and `messages`, those before it.
        system: message before all others; the caller's own system message follows in it.
        prefill: how the answer begins; the model goes on from there.
        sampling: settings where the caller sets nothing.
        name: under which the words are versioned.

    Raises:
        BadInput: the template cannot be read, is no template, or names a variable that there is not.
    """

    def __init__(
        self, template: str | Path | None, system: str | None, prefill: str | None, sampling: SamplingParams, name: str
    ) -> None:
        for field, value in (("system", system), ("prefill", prefill), ("name", name)):
            check_value(f"prompted({field})", value, str)
        check_value("prompted(sampling)", sampling, SamplingParams)
        self.system, self.prefill, self.sampling = system, prefill or "", sampling
        self._template = None if template is None else _load(template, name)
        if self._template is not None:
            _check_variables(self._template)
        source = None if self._template is None else self._template.source
        content = json.dumps([source, system, prefill])
        name = name if self._template is None else self._template.name
        self.version = f"{name}@{hashlib.sha256(content.encode()).hexdigest()[:8]}"
        """Name and content hash, as candidates tell it."""

    def around(self, question: Question) -> Question:
        """The question as it is asked.

        Raises:
            Misconfigured: the template fails on this question.
        """
        messages = list(question.messages)
        if self._template is not None:
            messages = self._rewritten(messages)
        if self.system is not None:
            first = messages[0] if messages and messages[0].role == "system" else None
            text = self.system if first is None else f"{self.system}\n\n{first.text}"
            messages = [Message(role="system", content=text), *(messages if first is None else messages[1:])]
        sampling = question.sampling.over(self.sampling)
        if self.prefill:
            messages.append(Message(role="assistant", content=self.prefill))
            sampling = sampling.model_copy(update={"extra": {**GO_ON, **sampling.extra}})
        return question.model_copy(update={"messages": tuple(messages), "sampling": sampling})

    def _rewritten(self, messages: Sequence[Message]) -> list[Message]:
        assert self._template is not None
        places = [place for place, message in enumerate(messages) if message.role == "user"]
        last = places[-1] if places else len(messages)
        asked = messages[last] if places else Message(role="user", content="")
        try:
            before = [{"role": message.role, "text": message.text} for message in messages[:last]]
            text = self._template.render(question=asked.text, messages=before)
        except PromptError as error:
            raise Misconfigured(str(error)) from error
        return [*messages[:last], with_text(asked, text), *messages[last + 1 :]]


def with_text(message: Message, text: str) -> Message:
    """The message with another text; its images and the like stay."""
    if message.content is None or isinstance(message.content, str):
        return message.model_copy(update={"content": text})
    others = [part for part in message.content if part.get("type") != "text"]
    return message.model_copy(update={"content": ({"type": "text", "text": text}, *others)})


def _check_variables(template: Prompt) -> None:
    if lost := sorted(template.variables - {"question", "messages"}):
        raise BadInput(f"prompt {template.name!r}: the template names {lost[0]!r}, and there is: question, messages")
    if not template.variables:
        raise BadInput(
            f"prompt {template.name!r}: the template asks nothing: write {{{{ question }}}} where it belongs"
        )


def _load(template: str | Path, name: str) -> Prompt:
    try:
        if isinstance(template, str) and not template.endswith(SUFFIX):
            return Prompt(name, template)
        path = Path(template)
        return Prompt(path.stem, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"prompted(template={str(template)!r}): the file cannot be read: {told}") from error
    except PromptError as error:
        raise BadInput(str(error)) from error


class PromptedModel(Wrapper):
    """A model that answers in its own way to words around the question; see `prompted`."""

    def __init__(self, model: Model, words: Words, *, name: str) -> None:
        super().__init__(model, name=name)
        self.words = words

    async def _answer(self, question: Question, run: RunContext) -> Answer:
        answer = await self.model.answer(self.words.around(question), run)
        return answer.replace(model=self.name, prompt_version=answer.prompt_version or self.words.version)


class PromptedAgent(Wrapper, Agent):
    """A model that draws its own samples, with words around the question; see `prompted`."""

    model: Sampler

    def __init__(self, model: Sampler, words: Words, *, name: str) -> None:
        super().__init__(model, name=name)
        self.words = words

    @property
    def identity(self) -> Identity:
        """The model's, with the words and the settings that make its samples others than the model's own."""
        inner = self.model.identity
        versions = [version for version in (inner.prompt_version, self.words.version) if version is not None]
        changes = {"prompt_version": "+".join(versions), "sampling": self.words.sampling.over(inner.sampling)}
        return inner.model_copy(update=changes)

    async def sample(self, question: Question, slots: Sequence[PartialCandidate], run: RunContext) -> None:
        for slot in slots:
            slot.mark(prefix=self.words.prefill, agent=self.name, prompt_version=self.words.version)
        await self.model.sample(self.words.around(question), slots, run)


def prompted(
    model: Model,
    template: str | Path | None = None,
    *,
    system: str | None = None,
    prefill: str | None = None,
    sampling: SamplingParams | None = None,
    name: str | None = None,
) -> PromptedModel | PromptedAgent:
    """A model with words of its own, which is a model like any other.

    Args:
        model: who answers.
        template: text of a Jinja template that takes the place of the question, which it names as `question`, or a
            file (`*.jinja`) that holds it; `messages` are the messages before (`role` and `text`). A variable that
            it names and that there is not is an error.
        system: message before all others; the caller's own system message follows in it.
        prefill: how the answer begins; the text of the answer contains it. A server must be able to go on with a
            message: vLLM and SGLang are, others may need other fields in `sampling.extra`.
        sampling: settings where the caller sets nothing.
        name: how the agent is called; the model's name if not given.

    Raises:
        BadInput: there are no words, the template cannot be read, is none or names what there is not, or a pipeline is
            to begin its answer with given words.
    """
    check_model("prompted()", model)
    if not isinstance(template, Path):
        check_value("prompted(template)", template, str)
    if template is system is None and not prefill and sampling is None:
        raise BadInput(f"prompted({model.name}) has no words: give a template, system, prefill or sampling")
    name = name or model.name
    words = Words(template, system, prefill, sampling or SamplingParams(), name)
    if is_sampler(model):
        return PromptedAgent(model, words, name=name)
    if prefill:
        raise BadInput(f"prompted({model.name}, prefill=...): only a single model can go on with a beginning")
    return PromptedModel(model, words, name=name)
