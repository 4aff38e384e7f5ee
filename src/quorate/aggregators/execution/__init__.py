"""Programs judged by running them: a sandbox, tests, and CodeT's agreement."""

from .agreement import CodeExtractor, ConsensusSet, ExecutionAgreement, consensus_sets
from .computed import Computed
from .program_tests import TestWriter, run_tests
from .sandbox import Execution, Limits, Sandbox, Unisolated

__all__ = [
    "CodeExtractor",
    "Computed",
    "ConsensusSet",
    "Execution",
    "ExecutionAgreement",
    "Limits",
    "Sandbox",
    "TestWriter",
    "Unisolated",
    "consensus_sets",
    "run_tests",
]
