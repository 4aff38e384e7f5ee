"""A transformers model asked token by token: caches that can be cut anywhere, drafts and scores in batches.

`columns` is the cache, `forward` the model with it, `model` what token-level ensembling sees.
"""

from __future__ import annotations

from .model import TransformersTokens

__all__ = ["TransformersTokens"]
