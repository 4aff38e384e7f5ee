"""What happens in the server, told to those who run it: metrics, logs, traces and a store of traces.

`Observed` opens an `Observation` for every request; `Asking` lends it to the run as its watch and lets it
read the stream of events. When the request ends, each sink takes what it needs of it: `metrics`, `logs`,
`recording` (the trace store); `spans` goes along while it happens, because calls to upstreams carry its
context. No sink sees a request's texts unless `log_prompts` allows it, and none ever sees a key.
"""
