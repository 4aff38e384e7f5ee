"""Parts of `benchmarks/server.py`: what runs in processes of its own, and what measures them."""
