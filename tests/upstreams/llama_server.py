"""llama.cpp's own server: `python llama_server.py FILE.gguf NAME PORT`; needs xllamacpp, nothing of ours."""

from __future__ import annotations

import sys
import threading

import xllamacpp


def main(file: str, name: str, port: str) -> None:
    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = file, {name}
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    params.n_parallel, params.n_ctx = 4, 4 * 1024
    params.cpuparams.n_threads = 1  # its threads spin where they wait, which takes hours on a busy machine
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
