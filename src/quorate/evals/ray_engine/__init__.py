"""Asking on a Ray cluster: some workers, each with pipelines of its own, and one writer of the bank."""

from .cluster import RETRIES, RayCluster
from .engine import RayEngine
from .worker import BankWriter, CatalogWorker, OpenCatalog, RemoteBank, RemoteError, WorkerJob

__all__ = [
    "RETRIES",
    "BankWriter",
    "CatalogWorker",
    "OpenCatalog",
    "RayCluster",
    "RayEngine",
    "RemoteBank",
    "RemoteError",
    "WorkerJob",
]
