"""Models that run in this process with transformers, three of them shipped inside the package.

`engine` draws tokens for rows, `worker` feeds it from a thread, `agent` is what pipelines see, and
`weights` knows where models are. Importing this room needs no torch.
"""

from __future__ import annotations

from .agent import Embedded
from .weights import Dtype, Loaded, embedded_models, load, locate

__all__ = ["Dtype", "Embedded", "Loaded", "embedded_models", "load", "locate"]
