"""Real tokenizers and small random models that carry them; the tests are there where the tokenizers are."""

from __future__ import annotations

import os

from .random_models import list_tokenizers

collect_ignore_glob = [] if list_tokenizers() else ["test_*.py"]
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
