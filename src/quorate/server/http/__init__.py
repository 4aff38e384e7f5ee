"""HTTP below the APIs: bodies in, JSON and events out, errors as envelopes, clients that leave, pages that may not ask.

Plain ASGI, without a framework between: what every request passes has to cost little.
"""
