"""Real tokenizers, where `make test-tokenizers` has fetched them."""
