"""Aggregators that learn from labelled candidate sets; commands: `quorate train aggregator|selector`.

| module | holds |
|---|---|
| `cutting` | from many samples a question to labelled sets of m candidates, balanced (AggLM, section 3.2) |
| `dataset` | the sets as a data set on disk, with a card; no question or template family in two splits |
| `settings` | how to train, checked; `presets/` holds those for a laptop and for one GPU |
| `trainers` | supervised, from drafts to a verified solution (arXiv 2501.11877), and GRPO (AggLM, section 3.3) |
| `models` | what trainers share: loading, adapters, optimizers |
| `training` | both after one another, resumable, and the folder that comes out |
| `measuring` | right or wrong, and a trained aggregator beside the vote on held-out sets |
| `selector/` | a selector that learns which answer to trust, with no model called |

Nothing here imports torch, transformers or trl before training begins.
"""
