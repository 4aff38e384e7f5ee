"""Many answers without a thought, and a vote by how sure the model was of each.

NoThinking (arXiv 2504.09858, sections 3 and 4): the thought is skipped, N answers are drawn in parallel, and without a
verifier a Borda vote over their self-certainty chooses (arXiv 2502.18581). Two ways to skip it: settings of the chat
template (`enable_thinking`, as Qwen 3, GLM and SmolLM 3 read it, `thinking`, as DeepSeek and Granite do; vLLM, SGLang
and llama.cpp hand `chat_template_kwargs` on), or a thought that is closed already, as in the paper, for models whose
template has no such setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.prompted import prompted
from quorate.orchestrator.types import SamplingParams

from ..confidence.vote import SelfCertaintyOptions, build_self_certainty
from ..specs import BuildContext, PipelineSpec

OFF = {"enable_thinking": False, "thinking": False}
CLOSED = "<think>\nOkay, I think I have finished thinking.\n</think>\n\n"
"""The paper's thought."""


class NoThinkingOptions(SelfCertaintyOptions):
    """How the thought is skipped, and how votes weigh."""

    way: Literal["template", "prefill"] = "template"
    """By settings of the chat template, or by an answer that begins with a closed thought."""
    template: Mapping[str, Any] = Field(default=OFF)
    """The settings; a template passes over those that it does not know."""
    thought: str = Field(default=CLOSED, min_length=1)
    """How the answer begins; servers have to be able to go on with a message, as vLLM, SGLang and llama.cpp are."""


def _build_nothinking(context: BuildContext) -> Pipeline:
    options = context.options
    # llama.cpp refuses a beginning while the template would think, so its settings go along.
    settings = SamplingParams(extra={"chat_template_kwargs": dict(options.template)})
    prefill = options.thought if options.way == "prefill" else None
    models = tuple(
        prompted(model, prefill=prefill, sampling=settings, name=f"{model.name}:nothinking") for model in context.models
    )
    name = context.name or f"nothinking@{context.n}/{'+'.join(model.name for model in context.models)}"
    return build_self_certainty(replace(context, models=models)).with_name(name)


PIPELINES = (
    PipelineSpec(
        "nothinking",
        "N answers without a thought, a Borda vote by how sure the model was",
        "arXiv 2504.09858, sections 3 and 4",
        8,
        _build_nothinking,
        options=NoThinkingOptions,
    ),
)
