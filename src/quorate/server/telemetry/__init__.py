"""What happens in the server, told to those who run it: metrics, logs, traces and a store of traces.

`middleware` opens a `RequestRecord` for every request; its choices listen to the events of their runs. When the
request ends, each sink takes what it needs of it: `metrics`, `logs`, `trace_writer` (the trace store); `spans` goes
along while it happens, because calls to upstreams carry its context. No sink sees a request's texts unless
`log_prompts` allows it, and none ever sees a key.
"""
