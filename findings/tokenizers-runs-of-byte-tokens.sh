#!/bin/sh
# tokenizers 0.23.3, ByteFallback decoder: one broken byte makes every byte token beside it a replacement mark.
#
# SentencePiece vocabularies spell what they do not know in tokens for bytes (<0x30> is the byte 0x30, "0").
# A guess: the decoder of [<0x30>, <0xE6>, <0x30>] shows the broken byte as one U+FFFD between two zeros, as
# bytes.decode(errors="replace") does. It shows three U+FFFD: a run of
# byte tokens is decoded as a whole, and if any of it is broken, each token of the run is a mark.
# So decode([before, id, after]) tells a token's bytes only between tokens that are not for bytes, and a stream
# that decodes what it has so far loses good characters for as long as a bad byte stands beside them.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m pip install -q --disable-pip-version-check --target "$place" tokenizers==0.23.3
PYTHONPATH="$place" python3 - <<'END'
import tokenizers
from tokenizers.decoders import ByteFallback

assert tokenizers.__version__ == "0.23.3", tokenizers.__version__
whole, broken = (ByteFallback().decode(tokens) for tokens in (["<0x30>", "<0x31>"], ["<0x30>", "<0xE6>", "<0x30>"]))
print(repr(whole), repr(broken), "bytes.decode:", repr(b"0\xe60".decode(errors="replace")))
assert whole == "01"
assert broken == "\ufffd\ufffd\ufffd", "no longer so"
END
