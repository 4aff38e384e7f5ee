"""The contract (types, events, protocols, errors), pipelines, and at the edge config and commands."""
