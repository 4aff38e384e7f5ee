"""Asking on a Ray cluster: some workers, each with pipelines of its own, and one writer of the bank."""

from .cluster import RETRIES, RayCluster
from .engine import RayEngine
from .worker import BankWriter, OpenCatalog, RemoteBank, RemoteError, WorkerJob

__all__ = ["RETRIES", "BankWriter", "OpenCatalog", "RayCluster", "RayEngine", "RemoteBank", "RemoteError", "WorkerJob"]
