"""Fuzz tests of the readers of files that other people make; `python -m tests.fuzz`.

One module for each target. It has

* `INPUTS`: its share of the 100,000 inputs;
* `MODULES`: the modules whose branches guide atheris;
* `SEEDS` and `WORDS`: valid inputs, and fragments that are put into them;
* `sample(rng)`: a random input of at most `MAX_INPUT_BYTES` bytes;
* `read(data)`: read the input. True: it is accepted; False: it is rejected with an error of the project. All else fails.

The first byte of an input selects the format where a target has several.
"""

TARGETS = (
    "captions",
    "manifests",
    "info",
    "shards",
    "tables",
    "checkpoints",
    "labels",
    "sounds",
    "pictures",
    "options",
)
MAX_INPUT_BYTES = 16_384
