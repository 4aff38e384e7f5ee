"""Tasks: one benchmark, one file."""
