"""Other people's servers of models as upstreams, with an embedded model in them; vLLM has a folder of its own."""
