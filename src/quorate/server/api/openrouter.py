"""OpenRouter's form of a fusion: `plugins: [{"id": "fusion", ...}]`, or the model `openrouter/fusion`.

    {"model": "A", "plugins": [{"id": "fusion", "analysis_models": ["A", "B"], "model": "C"}], "messages": [...]}

is `fusion@2/A+B` whose analyst and writer is C; without `analysis_models` the panel is three samples of the request's
model, and without `model` that one writes. `openrouter/fusion` is the configured pipeline of that name or of the name
`fusion`, else a panel of the first models there are. The reply has OpenRouter's fields in `quorate.fusion`.

A setting that means nothing here is refused by its name: a client that relies on it must not believe that it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, WithJsonSchema
from pydantic.config import JsonDict

from quorate.aggregators.registry import build_pipeline
from quorate.config.models import PROVIDERS
from quorate.orchestrator.analysis import Analysis
from quorate.orchestrator.errors import BadInput
from quorate.orchestrator.frozen import UNKNOWN, first_fault
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Model
from quorate.orchestrator.types import Answer

from ..access.errors import NotAllowed
from ..context import Caller
from ..http.errors import BadField
from .fields import Control, Count, Flag, Name

__all__ = ["ALIAS", "FusionRequest", "Plugin", "describe_fusion", "find_fusion"]

ALIAS = "openrouter/fusion"
PANEL = 3
"""Answers of a panel that the request does not name."""
MOST = 8
"""Models of a panel, as OpenRouter has it."""
WITHOUT_MEANING = {
    "max_tool_calls": "the models of a panel call no tools here",
    "web": "the models of a panel do not search here",
    "engine": "the models of a panel do not search here",
}
PRESET_ALONE: JsonDict = {
    "if": {"properties": {"preset": {"type": "string"}}, "required": ["preset"]},
    "then": {"properties": {name: {"type": "null"} for name in ("analysis_models", "model", "max_completion_tokens")}},
}


class FusionPlugin(BaseModel):
    """The settings of a fusion."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=PRESET_ALONE)

    id: Literal["fusion"]
    enabled: Flag = True
    analysis_models: Annotated[list[Name], Field(min_length=1, max_length=MOST)] | None = None
    model: Name | None = None
    max_completion_tokens: Count | None = None
    preset: Annotated[str, Strict(), Field(min_length=1, max_length=512)] | None = None


Plugin = Annotated[Mapping[str, Any], WithJsonSchema(FusionPlugin.model_json_schema())]
"""Is read by `find_fusion`, which says of what is wrong why it is."""


class FusionRequest:
    """What a request wants of a fusion.

    Args:
        model: that the request names.
        plugin: its settings; none where there is only the alias.
        place: of the plugin in the request.
    """

    def __init__(self, model: str, plugin: FusionPlugin | None, place: str) -> None:
        self.model, self.plugin, self.place = model, plugin or FusionPlugin(id="fusion"), place

    async def build(self, caller: Caller, control: Control) -> Model:
        """The pipeline.

        Raises:
            BadField: something in it cannot be done; names it.
            NotAllowed: the caller may not ask one of its models.
        """
        plugin = self.plugin
        if control.pipeline is not None:
            raise BadField("there is a pipeline already: the plugin fusion", "quorate.pipeline")
        preset = await self._find_preset(caller)
        if preset is not None:
            return preset if control.n is None else await caller.resolve(preset.name, n=control.n)
        if plugin.analysis_models:
            names = plugin.analysis_models
            panel = [await self._resolve(n, f"analysis_models.{i}", caller) for i, n in enumerate(names)]
        else:
            names = self._default_panel(caller)
            panel = [await caller.resolve(name) for name in names]
        writer = panel[0]
        if plugin.model is not None:
            writer = await self._resolve(plugin.model, "model", caller)
        elif self.model != ALIAS:
            writer = await caller.resolve(self.model)
        n = control.n or len(panel)
        options = {} if plugin.max_completion_tokens is None else {"panel_tokens": plugin.max_completion_tokens}
        name = f"fusion@{n}/{'+'.join(names)}"
        return build_pipeline(
            "fusion", panel, n=n, options=options, aggregator_model=writer, name=name, providers=PROVIDERS
        )

    async def _find_preset(self, caller: Caller) -> Pipeline | None:
        """A configured pipeline: the one that is named, else that of the alias where the request says nothing else."""
        plugin, configured = self.plugin, caller.catalog.pipelines
        if plugin.preset is not None:
            if plugin.analysis_models or plugin.model or plugin.max_completion_tokens:
                raise BadField("a preset has its own models and limits", f"{self.place}.preset")
            found = await self._resolve(plugin.preset, "preset", caller) if plugin.preset in configured else None
            if not isinstance(found, Pipeline):
                known = ", ".join(sorted(configured)) or "none"
                raise BadField(f"no configured pipeline {plugin.preset!r}; there is: {known}", f"{self.place}.preset")
            return found
        bare = not (plugin.analysis_models or plugin.model or plugin.max_completion_tokens)
        for name in (ALIAS, "fusion"):
            if self.model == ALIAS and bare and name in configured:
                found = await caller.resolve(name)
                return found if isinstance(found, Pipeline) else None
        return None

    def _default_panel(self, caller: Caller) -> list[str]:
        if self.model != ALIAS:
            return [self.model] * PANEL
        names = [name for name in caller.catalog.models if caller.key.allows(name)][:PANEL]
        if not names:
            raise BadField("names no model, and there is none that the key may ask", f"{self.place}.analysis_models")
        return names if len(names) > 1 else names * PANEL

    async def _resolve(self, name: str, field: str, caller: Caller) -> Model:
        try:
            return await caller.resolve(name)
        except NotAllowed:
            raise
        except BadInput as error:
            raise BadField(str(error), f"{self.place}.{field}") from None


def find_fusion(model: str, plugins: Sequence[Mapping[str, Any]] | None) -> FusionRequest | None:
    """The fusion that a request asks for, if it does.

    Args:
        model: that it names.
        plugins: of its body.

    Raises:
        BadField: a plugin that there is not here, or one with a setting that cannot be used.
    """
    found: FusionRequest | None = None
    for number, given in enumerate(plugins or ()):
        place = f"plugins.{number}"
        if given.get("id") != "fusion":
            raise BadField(f"there is no plugin {given.get('id')!r} here, only 'fusion'", f"{place}.id")
        for setting, why in WITHOUT_MEANING.items():
            if given.get(setting) is not None:
                raise BadField(f"means nothing here: {why}", f"{place}.{setting}")
        if found is not None:
            raise BadField("there are two plugins 'fusion'; give one", place)
        found = FusionRequest(model, _read_plugin(given, place), place)
    if found is not None and found.plugin.enabled:
        return found
    if model != ALIAS:
        return None
    if found is not None:
        raise BadField(f"cannot be false: {ALIAS} is nothing else", f"{found.place}.enabled")
    return FusionRequest(model, None, "plugins.0")


def _read_plugin(given: Mapping[str, Any], place: str) -> FusionPlugin:
    try:
        return FusionPlugin.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        where, words = first_fault(error)
        known = f"; a fusion has: {', '.join(FusionPlugin.model_fields)}" if words == UNKNOWN else ""
        raise BadField(words + known, f"{place}.{where}") from None


def describe_fusion(answer: Answer) -> dict[str, Any]:
    """The result's fields as OpenRouter names them."""
    lost = next((note.detail for note in answer.degraded if note.code == "analysis_missing"), None)
    return {
        "status": "ok",
        "analysis": None if answer.analysis is None else _describe_analysis(answer.analysis),
        "responses": [{"model": c.agent or c.model, "content": c.text} for c in answer.candidates if c.ok],
        "failed_models": [
            {"model": c.agent or c.model, "error": c.error.message} for c in answer.candidates if c.error is not None
        ],
        "failure_reason": None if lost is None else lost.partition(":")[0],
    }


def _describe_analysis(analysis: Analysis) -> dict[str, Any]:
    return {
        "consensus": list(analysis.consensus),
        "contradictions": [
            {"topic": c.topic, "stances": [{"model": s.model, "stance": s.stance} for s in c.stances]}
            for c in analysis.contradictions
        ],
        "partial_coverage": [{"models": list(c.models), "point": c.point} for c in analysis.partial_coverage],
        "unique_insights": [{"model": u.model, "insight": u.insight} for u in analysis.unique_insights],
        "blind_spots": list(analysis.blind_spots),
    }
