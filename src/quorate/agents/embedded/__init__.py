"""Models that run in this process with transformers, four of them shipped inside the package.

`batch_engine` draws tokens for rows, `worker` feeds it from a thread, `agent` is what pipelines see;
`weights` knows where models are, `chat` leads from messages to tokens and back, `token_model` is the same
model asked token by token. Importing this needs no torch.
"""

from __future__ import annotations

from .agent import Embedded
from .weights import Dtype, LoadedModel, list_embedded_models, load, locate

__all__ = ["Dtype", "Embedded", "LoadedModel", "list_embedded_models", "load", "locate"]
