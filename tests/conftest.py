"""No test sees the models that the user of this machine has added, but for those that ask for them."""

from __future__ import annotations

import os
import tempfile

os.environ["QUORATE_ADDED"] = os.environ.get("QUORATE_HOME", "")
os.environ["QUORATE_HOME"] = tempfile.mkdtemp(prefix="quorate-home-")
