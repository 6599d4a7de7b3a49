"""Shards: tars of samples, whole or with damaged members, and compressed ones."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from phonics_data.contract import tar_reader
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import encode, read_shard
from phonics_data.errors import PhonicsDataError
from tests.fuzz.inputs import TEXTS, changed_fields, damaged

INPUTS = 8_000
MODULES = (
    "phonics_data.contract.shard",
    "phonics_data.contract.tar_reader",
    "phonics_data.contract.untrusted",
    "phonics_data.contract.picture",
)
_PATH = Path(tempfile.mkdtemp(prefix="fuzz-shards-")) / "train-000000.tar"
tar_reader.MAX_MEMBER_BYTES = 1 << 26
_SAMPLE = Sample(
    key="a1-0000001", frames_LHWC=np.zeros((2, 4, 4, 3), np.uint8), frame_rate=Fraction(25), audio_N=np.zeros(800, np.float32),
    audio_rate_hz=16_000, label="A", label_set="letters", video_id="a1", start_seconds=1.0, object_word="apple",
    object_picture=np.full((3, 3, 4), 255, np.uint8), object_boxes_L4=np.zeros((2, 4), np.float32),
)  # fmt: skip
_MEMBERS = encode(_SAMPLE)


def _tar(members: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"a1-0000001.{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()[: -9 * tarfile.BLOCKSIZE]


_TAR = _tar(_MEMBERS)
SEEDS = (_TAR, gzip.compress(_TAR), _tar({**_MEMBERS, "x" * 120: b"1"}, tarfile.PAX_FORMAT))
WORDS = (
    *TEXTS, b"ustar\x0000", b"\x80" + b"\xff" * 11, b"77777777777", b"g" * 1, b"x", b"S", b"L", b"K", b"GNU.sparse.map=0,1",
    b"30 GNU.sparse.major=1\n", b"20 size=99999999999\n", b"(1000000, 1000000, 3)", b"(2, 4, -4, 3)", b"'|O'", b"'|u1'", b"'<U9'", b"True", b"fLaC",
)  # fmt: skip


def sample(rng: random.Random) -> bytes:
    if rng.random() < 0.4:
        return damaged(rng.choice(SEEDS), rng, WORDS, is_binary=True)
    members = dict(_MEMBERS)
    name = rng.choice(list(members))
    if name == "meta.json" and rng.random() < 0.7:
        members[name] = json.dumps(changed_fields(json.loads(members[name]), rng, 0.15)).encode()
    else:
        members[name] = damaged(members[name], rng, WORDS, is_binary=True)
    if rng.random() < 0.1:
        del members[rng.choice(list(members))]
    return _tar(members)


def read(data: bytes) -> bool:
    _PATH.write_bytes(data)
    try:
        samples = list(read_shard(_PATH))
    except PhonicsDataError as error:
        assert _PATH.name in str(error), "the message does not name the shard"
        return False
    for one in samples:
        assert one.frames_LHWC.ndim == 4
        assert 0 < one.frame_rate < 1e12
        assert abs(one.start_seconds) < 1e9
        f"{one.label} {one.object_word} {one.video_id} {one.group}".encode()
    return bool(samples)
