"""Real tokenizers and small random models that carry them; `make test-tokenizers` fetches and tries them."""

from __future__ import annotations

import os

from .random_models import list_tokenizers

# They take half an hour: whoever has them in the cache does not always mean to try them.
collect_ignore_glob = [] if os.environ.get("REAL_TOKENIZERS") and list_tokenizers() else ["test_*.py"]
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
