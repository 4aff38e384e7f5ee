"""Programs judged by running them: a sandbox, tests, and CodeT's agreement."""

from .agreement import ConsensusSet, ExecutionAgreement, consensus_sets
from .code import CodeExtractor
from .sandbox import Execution, Limits, Sandbox, Unisolated
from .writing import TestWriter

__all__ = [
    "CodeExtractor",
    "ConsensusSet",
    "Execution",
    "ExecutionAgreement",
    "Limits",
    "Sandbox",
    "TestWriter",
    "Unisolated",
    "consensus_sets",
]
