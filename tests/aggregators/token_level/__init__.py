"""Token-level ensembling."""
