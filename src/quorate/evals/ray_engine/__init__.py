"""Asking on a Ray cluster: some workers, each with pipelines of its own, and one writer of the bank."""

from .engine import RayEngine
from .worker import OpenCatalog, WorkerJob

__all__ = ["OpenCatalog", "RayEngine", "WorkerJob"]
