"""What makes a model's samples its own: who has the same identity and settings may share them."""

from __future__ import annotations

__all__ = ["identity"]

TOLD = ("kind", "model", "fingerprint", "dtype")
"""What of a model determines its samples, where it has it, beside its name and sampling settings."""


def identity(model: object) -> dict[str, str]:
    """What is known of a model, in words that are the same in every process."""
    known = {name: getattr(model, name, None) for name in TOLD}
    return {name: str(value) for name, value in known.items() if value is not None}
