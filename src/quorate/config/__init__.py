"""Names to models: the catalog, `quorate.yaml` and its schema."""
