#!/bin/sh
# transformers 5.24.0, gguf_file=: a GGUF tokenizer whose split rule it does not know is given GPT-2's without a word.
#
# A GGUF file has only the name of the rule by which a byte-level BPE splits text (tokenizer.ggml.pre). A guess: a name
# that the reader does not know is an error or at least a warning, since another rule makes other tokens. Here the file
# says "smollm", SmolLM2's rule in llama.cpp, by which every digit stands alone; "12" has a merge in the vocabulary, so
# a tokenizer that splits as GPT-2 does reads one token where the model learned two. No warning is given.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check \
    transformers==5.24.0 gguf==0.19.0 torch==2.13.0 accelerate==1.15.0
"$place/env/bin/python" - "$place" <<'END'
import sys
import warnings

import transformers
from gguf import GGUFWriter
from transformers import AutoTokenizer

assert transformers.__version__ == "5.24.0", transformers.__version__
folder = sys.argv[1]
tokens = ["<|endoftext|>", *"0123456789", "12"]
writer = GGUFWriter(f"{folder}/model.gguf", "llama")
writer.add_tokenizer_model("gpt2")
writer.add_tokenizer_pre("smollm")
writer.add_token_list(tokens)
writer.add_token_types([3] + [1] * (len(tokens) - 1))
writer.add_token_merges(["1 2"])
writer.add_bos_token_id(0)
writer.add_eos_token_id(0)
writer.add_unk_token_id(0)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
read = tokenizer.convert_ids_to_tokens(tokenizer.encode("12", add_special_tokens=False))
print(read, "llama.cpp: ['1', '2']", [str(one.message) for one in heard if "pre" in str(one.message).lower()])
assert read == ["12"], "no longer so"
END
