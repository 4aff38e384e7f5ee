#!/bin/sh
# dspy 3.4.1: two engines of one's own under the same model name share cached answers, across processes too.
#
# A guess: `dspy.LM(name, engine=...)` is the way to put a model of one's own under DSPy, and the cache, which is on by
# default, keeps what that engine said; another engine, or the same one set up otherwise, is asked anew. The key is the model's
# name and the request: the second engine below is never asked, and its evaluation would have the first one's figures. The
# entry is on disk, so that a later process reads it as well. So: put what tells engines apart into the name.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" dspy==3.4.1
cat >"$place/ask.py" <<'END'
import sys
from importlib.metadata import version

import dspy
from dspy.lm15 import Message, Response, Usage

assert version("dspy") == "3.4.1"


class Engine:
    def __init__(self, text):
        self.text = text

    def complete(self, request):
        usage = Usage(input_tokens=1, output_tokens=1)
        message = Message.assistant(self.text)
        return Response(id=None, model=request.model, message=message, finish_reason="stop", usage=usage)


print(*(dspy.LM("mine/model", engine=Engine(text))("Who are you?")[0] for text in sys.argv[1:]))
END
export DSPY_CACHEDIR="$place/cache" PYTHONPATH="$place"
told=$(python3 "$place/ask.py" first second)
echo "one process: $told"
later=$(python3 "$place/ask.py" third)
echo "the next one: $later"
[ "$told" = "first first" ] || { echo "no longer so"; exit 1; }
[ "$later" = "first" ] || { echo "no longer so"; exit 1; }
