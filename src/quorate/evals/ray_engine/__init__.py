"""Asking on a Ray cluster: some workers, each with pipelines of its own, and one writer of the bank."""

from .engine import OpenCatalog, RayEngine, WorkerJob

__all__ = ["OpenCatalog", "RayEngine", "WorkerJob"]
