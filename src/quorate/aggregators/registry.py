"""Every pipeline, ensemble and stopping rule by name: one line a module, whose entries stand beside its classes.

The command line, `quorate.yaml`, the server's listing, `quorate eval replay` and the documentation read this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import create_model

from quorate.orchestrator.graph import Graph
from quorate.orchestrator.pipeline import Pipeline
from quorate.orchestrator.protocols import Aggregator, Model, StoppingRule

from . import ensembles, gate
from .confidence import vote as confidence
from .confidence.deepconf import PIPELINES as DEEPCONF
from .decomposition.graph import PIPELINES as DECOMPOSITION
from .execution import agreement as execution
from .forms.consensus import PIPELINES as CONSENSUS
from .forms.nothinking import PIPELINES as NOTHINKING
from .forms.rewording import PIPELINES as REWORDING
from .judges import listwise, pairwise, tournaments
from .learned.selector import vote as selector
from .meaning.options import MeaningOptions, build_grouping
from .panels import entries as panels
from .routing import cascade, router
from .specs import BuildContext, BuiltIn, EnsembleSpec, GraphSpec, Options, PipelineSpec, StoppingSpec, find_spec
from .stopping import look_ahead, rules
from .structured import StructuredVote, calls, centroid, dispatch, documents
from .synthesis import agglm, layers, populations, sequential, synthesizer
from .votes import rule_vote, scored_vote
from .votes.majority import MajorityVote

STOPPING_RULES: Mapping[str, StoppingSpec] = {spec.name: spec for spec in (*rules.RULES, *look_ahead.RULES)}
"""Stopping rules for any pipeline."""


def _stopping_vote(rule: StoppingSpec, summary: str) -> PipelineSpec:
    def build(context: BuildContext) -> Pipeline:
        vote = StructuredVote(MajorityVote().with_grouping(build_grouping(context)))
        return context.sample(stop=rule.build(context.options)) | vote

    return PipelineSpec(rule.name, summary, rule.source, 16, build, options=_join_options(rule))


def _join_options(rule: StoppingSpec) -> type[Options]:
    """When to stop, and which answers are one."""
    return create_model(f"{rule.options.__name__}AndMeaning", __base__=(rule.options, MeaningOptions))


SECTIONS: Mapping[str, Sequence[BuiltIn]] = {
    "votes": (*dispatch.PIPELINES, *rule_vote.PIPELINES, *scored_vote.PIPELINES),
    "votes that stop early": [
        _stopping_vote(rule, rule.vote) for rule in STOPPING_RULES.values() if rule.vote is not None
    ],
    "by the model's confidence": (*confidence.PIPELINES, *DEEPCONF),
    "written anew": (
        *synthesizer.PIPELINES,
        *sequential.PIPELINES,
        *layers.PIPELINES,
        *populations.PIPELINES,
        *agglm.PIPELINES,
    ),
    "judged": (*listwise.PIPELINES, *pairwise.PIPELINES, *tournaments.PIPELINES),
    "checked": (*execution.PIPELINES, *gate.PIPELINES),
    "for documents, tools and prose": (*calls.PIPELINES, *documents.PIPELINES, *centroid.PIPELINES),
    "learned": selector.PIPELINES,
    "panels": panels.PIPELINES,
    "the question in other forms": (*CONSENSUS, *NOTHINKING, *REWORDING, *DECOMPOSITION),
    "one model of several": (*cascade.GRAPHS, *router.GRAPHS),
    "token by token": ensembles.ENSEMBLES,
}
"""All that answers over models, by how it does that."""

_BUILT_IN = [spec for section in SECTIONS.values() for spec in section]

PIPELINES: Mapping[str, PipelineSpec] = {spec.name: spec for spec in _BUILT_IN if isinstance(spec, PipelineSpec)}
"""Pipelines over any model."""

ENSEMBLES: Mapping[str, EnsembleSpec] = {spec.name: spec for spec in _BUILT_IN if isinstance(spec, EnsembleSpec)}
"""What writes one answer token by token, over several models."""

GRAPHS: Mapping[str, GraphSpec] = {spec.name: spec for spec in _BUILT_IN if isinstance(spec, GraphSpec)}
"""Which of several models answers, and how far one goes."""


def build_graph(
    entry: str, models: Sequence[Model], *, n: int | None = None, options: Mapping[str, Any] | None = None, **parts: Any
) -> Graph:
    """The cascade or router of this name over the models; see `build_pipeline`."""
    spec = find_spec("graph", entry, GRAPHS)
    return spec.build_graph(_context(spec.n if n is None else n, spec.check_options(options or {}), models, parts))


def build_pipeline(
    entry: str, models: Sequence[Model], *, n: int | None = None, options: Mapping[str, Any] | None = None, **parts: Any
) -> Pipeline:
    """The pipeline of this name.

    Args:
        entry: one of `PIPELINES`.
        models: the proposers.
        n: candidates; the pipeline's own number, if not given.
        options: its parameters, as the registry describes them.
        parts: further fields of a `BuildContext`, such as `aggregator_model`, `stop` and `providers`.

    Raises:
        UnknownName: there is none of this name.
        BadInput: an option is impossible, or something that it needs is missing; says what.
    """
    spec = find_spec("pipeline", entry, PIPELINES)
    return spec.build_pipeline(_context(spec.n if n is None else n, spec.check_options(options or {}), models, parts))


def build_aggregator(
    entry: str, models: Sequence[Model], *, n: int | None = None, options: Mapping[str, Any] | None = None, **parts: Any
) -> Aggregator:
    """The aggregator of the pipeline of this name, for candidates that come from elsewhere; see `build_pipeline`.

    Raises:
        BadInput: also where the pipeline is more than samples and an aggregator.
    """
    spec = find_spec("pipeline", entry, PIPELINES)
    return spec.build_aggregator(_context(spec.n if n is None else n, spec.check_options(options or {}), models, parts))


def build_ensemble(
    entry: str, models: Sequence[Model], *, options: Mapping[str, Any] | None = None, **parts: Any
) -> Model:
    """The ensemble of this name over the models; see `build_pipeline`."""
    spec = find_spec("ensemble", entry, ENSEMBLES)
    return spec.build(_context(1, spec.check_options(options or {}), models, parts))


def build_rule(name: str, options: Mapping[str, Any] | None = None) -> StoppingRule:
    """The stopping rule of this name.

    Raises:
        UnknownName: there is none of this name.
        BadInput: an option is unknown or impossible; names it.
    """
    return find_spec("stopping rule", name, STOPPING_RULES).build_rule(options or {})


def _context(n: int, options: Options, models: Sequence[Model], parts: Mapping[str, Any]) -> BuildContext:
    known: dict[str, Any] = {"vote": StructuredVote, "pipelines": PIPELINES, "rules": STOPPING_RULES}
    return BuildContext(tuple(models), n, options, **known, **parts)
