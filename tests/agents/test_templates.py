"""Chat templates that cannot say what was asked: refused in one line, never left out without a word."""

from __future__ import annotations

from typing import Any

import pytest

from quorate.agents.embedded.chat import encode_prompt
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.types import Message, Question

from .tiny import TEMPLATE, build

SYSTEM = (Message(role="system", content="Speak like a pirate."), Message(role="user", content="Hello"))
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
LOSES_SYSTEM = "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}"
DEFAULT_SYSTEM = "{% if messages[0].role != 'system' %}<|system|>You are kind.<|end|>{% endif %}"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of the tiny random model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(build(tmp_path_factory.mktemp("tiny")))


@pytest.mark.parametrize(
    ("template", "says"),
    [(NO_SYSTEM + TEMPLATE, "has no system role: put what it says"), (LOSES_SYSTEM, "leaves out system messages")],
)
def test_a_system_message_is_not_lost(tokenizer: Any, template: str, says: str) -> None:
    """Where the template refuses it, or says nothing of it."""
    tokenizer.chat_template = template
    with pytest.raises(BadInput, match=f"tiny {says}") as raised:
        encode_prompt(tokenizer, Question(messages=SYSTEM), "tiny")
    assert "\n" not in str(raised.value)
    assert encode_prompt(tokenizer, Question.of("Hello"), "tiny")


def test_tools_are_not_lost(tokenizer: Any) -> None:
    """Where the template knows none."""
    tokenizer.chat_template = TEMPLATE
    with pytest.raises(BadInput, match="tiny knows no tools"):
        encode_prompt(tokenizer, Question.of("Hello").model_copy(update={"tools": (TOOL,)}), "tiny")


def test_images_are_not_lost(tokenizer: Any) -> None:
    """Parts of text are read, others refused by their type."""
    tokenizer.chat_template = TEMPLATE
    words = {"type": "text", "text": "What is this?"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert encode_prompt(tokenizer, Question.of([{"role": "user", "content": [words]}]), "tiny")
    with pytest.raises(BadInput, match="tiny reads text only, and a message has a part of type 'image_url'"):
        encode_prompt(tokenizer, Question.of([{"role": "user", "content": [words, image]}]), "tiny")


def test_a_default_system_message_is_the_templates(tokenizer: Any) -> None:
    """It stands where the caller has none, and gives way to the caller's."""
    tokenizer.chat_template = DEFAULT_SYSTEM + TEMPLATE
    texts = [
        tokenizer.decode(encode_prompt(tokenizer, question, "tiny"))
        for question in (Question.of("Hello"), Question(messages=SYSTEM))
    ]
    assert texts[0].startswith("<|system|>You are kind.<|end|><|user|>Hello")
    assert texts[1].startswith("<|system|>Speak like a pirate.<|end|><|user|>Hello")
