"""The contract (types, events, errors, protocols) and the loop: sampling, graphs and what builds them."""
