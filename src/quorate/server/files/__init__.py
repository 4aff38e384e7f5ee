"""`/v1/files` and `/v1/batches`: what callers leave with the server, and what it does with it behind their requests."""
