"""A transformers model asked token by token: caches that can be cut anywhere, drafts and scores in batches.

`forward` is the model with its cache, `model` what token-level ensembling sees.
"""

from __future__ import annotations

from .model import TransformersTokenModel

__all__ = ["TransformersTokenModel"]
