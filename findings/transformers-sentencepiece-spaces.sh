#!/bin/sh
# transformers 5.24.0: LlamaTokenizerFast from a Mistral tokenizer.model reads runs of spaces otherwise than
# SentencePiece 0.2.3 does with the same file (mistral-common 1.13.1's, as the models were trained with).
#
# A guess: the same file gives the same ids. In "f():\n    return" SentencePiece has three spaces as one token and
# the fourth with the word (" return"); the converted tokenizer has four spaces as one token and then "return". A
# space before the first word is lost, too. Whoever serves such a model from its tokenizer.model through
# transformers feeds it indentation that it was not trained on; counts of tokens differ as well.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place/lib" \
    transformers==5.24.0 sentencepiece==0.2.3 protobuf
python3 -m pip install -q --disable-pip-version-check --no-deps --target "$place/lib" mistral-common==1.13.1
PYTHONPATH="$place/lib" python3 - "$place" <<'END'
import shutil
import sys
from pathlib import Path

import mistral_common
import sentencepiece
import transformers

assert transformers.__version__ == "5.24.0"
folder = Path(sys.argv[1]) / "model"
folder.mkdir()
shutil.copy(Path(mistral_common.__file__).parent / "data/tokenizer.model.v1", folder / "tokenizer.model")
theirs = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
ours = transformers.LlamaTokenizerFast.from_pretrained(folder)
same = {}
for text in ("Hello world", "def f():\n    return 1", "Hello  world", " a"):
    left, right = theirs.encode(text), ours.encode(text, add_special_tokens=False)
    same[text] = left == right
    print(repr(text), [theirs.id_to_piece(n) for n in left], [theirs.id_to_piece(n) for n in right], sep="\n    ")
assert list(same.values()) == [True, False, False, False], "no longer so"
END
