"""Models that run in this process with transformers: four ship inside the package, others are added by the user.

`batch_engine` draws tokens for rows, `batch_groups` for rows of any length, as many as `batch_places` has; `worker`
feeds them from a thread, `agent` is what pipelines see; `adding` brings models into the user's `home`, `weights`
knows where all of them are, `chat` leads from messages to tokens and back, `token_model` is the same model asked
token by token. Importing this needs no torch.
"""

from __future__ import annotations

from .agent import Embedded
from .weights import Dtype, LoadedModel, list_embedded_models, load, locate

__all__ = ["Dtype", "Embedded", "LoadedModel", "list_embedded_models", "load", "locate"]
