"""TOML files of options. Accepted: a table of options; their values are checked by the command."""

from __future__ import annotations

import contextlib
import random
import tempfile
from pathlib import Path

from phonics_data.errors import PhonicsDataError
from phonics_data.quality.filters import read_filter_options
from phonics_data.storage.toml_file import read_toml
from tests.fuzz.inputs import TEXTS, damaged

INPUTS = 1_000
MODULES = ("phonics_data.storage.toml_file", "phonics_data.quality.filters")
_PATH = Path(tempfile.mkdtemp(prefix="fuzz-options-")) / "options.toml"
SEEDS = (
    b"min_seconds = 1.0\ndrop_static = true\nmax_image_hash_bits = 6\n",
    b'max_height = 360\nonly = ["a1"]\n[table]\nwhen = 2026-01-01T00:00:00Z\n',
)
WORDS = (
    *TEXTS,
    b"= nan",
    b"= inf",
    b"= 0x" + b"f" * 200,
    b"= [" + b"[" * 1500,
    b"a.b.c.d = 1\n",
    b"[[x]]\n",
    b"'''",
    b"= 9999-99-99",
    b"= {",
)


def sample(rng: random.Random) -> bytes:
    return damaged(rng.choice(SEEDS), rng, WORDS)


def read(data: bytes) -> bool:
    _PATH.write_bytes(data)
    try:
        values = read_toml("--config", _PATH)
        assert isinstance(values, dict)
    except PhonicsDataError:
        return False
    with contextlib.suppress(PhonicsDataError):
        read_filter_options(_PATH)
    return True
