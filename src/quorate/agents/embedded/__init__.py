"""Models that run in this process with transformers, four of them shipped inside the package.

`engine` draws tokens for rows (`cache` and `choosing` are its parts), `worker` feeds it from a thread,
`agent` is what pipelines see; `weights` knows where models are, `chat` and `text` lead from messages to
tokens and back. Importing this needs no torch.
"""

from __future__ import annotations

from .agent import Embedded
from .weights import Dtype, Loaded, embedded_models, load, locate

__all__ = ["Dtype", "Embedded", "Loaded", "embedded_models", "load", "locate"]
