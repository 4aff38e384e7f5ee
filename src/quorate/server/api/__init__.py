"""The ways to ask: OpenAI's chat completions, text completions and responses.

Each module has the body of its requests, and turns outcomes and deltas into its replies; `routes` has what they
share: who asks, whether now, and how a reply is sent.
"""
