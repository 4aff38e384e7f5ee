"""Several processes that serve one address: a supervisor, and workers which share what only one of them may count.

The supervisor binds the address and starts the workers, which inherit it and take connections as they are free. Each
has a `channel` to the supervisor, over a socket that nobody else holds. There the `hub` counts rates, spending and
places for all of them, keeps watched runs, and adds up what workers tell of themselves for `/metrics` and `/ready`;
`member` is the worker's end of it. `supervisor` starts, replaces and stops workers; `worker` is what it starts.
"""
