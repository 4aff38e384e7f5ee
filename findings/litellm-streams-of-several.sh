#!/bin/sh
# litellm 1.108.7: a stream of several samples (`n`) loses which is which.
#
# A guess: a gateway hands on what an OpenAI-compatible server behind it streams, index and finish reason of each choice
# included. The server below streams two choices as the protocol has it: pieces of index 0 and 1 by turns, an end for
# each. Chats arrive with one end in all, that of index 0: nobody can tell whether the other text was cut, or by what.
# Text completions arrive with every piece under index 0, so whoever joins them reads two texts as one:
# "oneuno two dos". Plain replies are whole. So: votes over a stream through LiteLLM need a request for each sample.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" litellm==1.108.7
LITELLM_LOCAL_MODEL_COST_MAP=True PYTHONPATH="$place" python3 - <<'END'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import litellm

assert version("litellm") == "1.108.7"
TEXTS = (["one", " two"], ["uno", " dos"])


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        chat = "chat" in self.path
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for step in (0, 1, None):
            for index, text in enumerate(TEXTS):
                piece, end = ("", "length") if step is None else (text[step], None)
                content = {"delta": {"content": piece}} if chat else {"text": piece}
                kind = "chat.completion.chunk" if chat else "text_completion"
                choice = {"index": index, "finish_reason": end, **content}
                event = {"id": "1", "object": kind, "created": 1, "model": "m", "choices": [choice]}
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
where = {"model": "hosted_vllm/m", "api_base": f"http://127.0.0.1:{server.server_port}/v1", "api_key": "none", "n": 2}
texts, ends = {}, []
for chunk in litellm.completion(messages=[{"role": "user", "content": "?"}], stream=True, **where):
    for choice in chunk.choices:
        texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
        ends += [choice.index] if choice.finish_reason else []
print("chat:", texts, "ended:", ends)
assert texts == {0: "one two", 1: "uno dos"}
assert ends == [0], "no longer so"
texts = {}
for chunk in litellm.text_completion(prompt="?", stream=True, **where):
    for choice in chunk.choices:
        texts[choice.index] = texts.get(choice.index, "") + (choice.text or "")
print("text:", texts)
assert texts == {0: "oneuno two dos"}, "no longer so"
END
