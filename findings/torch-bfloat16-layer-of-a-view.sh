#!/bin/sh
# torch 2.13.0, CPU, bfloat16: a frozen linear layer copies its weights for every row of a view with gaps.
#
# transformers' logits_to_keep=1 hands the output layer hidden[:, -1:, :], a view whose rows lie apart. A guess: a linear
# layer costs what it costs on the same numbers side by side, or one copy of the few input rows more. Where the weights
# need no gradient (requires_grad_(False), as in inference), matmul does not fold the rows into one product but repeats the
# weights for each row: 60 rows and 8,192 tokens take some 540 MB more (3.2 GB and 20 s with a vocabulary of 49,152) where
# the same values side by side take none; so does the same layer while its weights may have gradients, under
# inference_mode likewise. The results are equal.
set -eu
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install -q --disable-pip-version-check torch==2.13.0
cat >"$place/layer.py" <<'END'
import resource
import sys

import torch

assert torch.__version__.startswith("2.13.0"), torch.__version__
torch.set_num_threads(1)
frozen, beside = (word == "yes" for word in sys.argv[1:3])
layer = torch.nn.Linear(576, 8192, bias=False, dtype=torch.bfloat16).requires_grad_(not frozen)
torch.nn.init.constant_(layer.weight, 0.25)
hidden = torch.ones(60, 40, 576, dtype=torch.bfloat16)[:, -1:, :]
with torch.inference_mode():
    layer(torch.ones(1, 1, 576, dtype=torch.bfloat16))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sum_of_logits = layer(hidden.contiguous() if beside else hidden).float().sum().item()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, sum_of_logits)
END
run() { "$place/env/bin/python" "$place/layer.py" "$@"; }
view=$(run yes no) beside=$(run yes yes) trained=$(run no no)
echo "MB more and the sum: frozen, a view: $view; side by side: $beside; not frozen, a view: $trained"
test "${view#* }" = "${beside#* }" && test "${view#* }" = "${trained#* }"
test "${view%% *}" -gt 400 && test "${beside%% *}" -lt 100 && test "${trained%% *}" -lt 100 || { echo "no longer so"; exit 1; }
