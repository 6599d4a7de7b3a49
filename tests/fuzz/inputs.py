"""Random damage of valid inputs, shared by the targets."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.fuzz import MAX_INPUT_BYTES

TEXTS = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n", b"\r\n", b",", b'"', b"\t", b" ", b"\x1b[2J", b"\xe2\x80\xae", b"\xed\xa0\x80",
    b"9" * 30, b"9" * 5000, b"-1", b"1e999", b"NaN", b"nan", b"inf", b"1_0", b"0", b"1/0", b"1e99999999", b"\xd9\xa1", b"../../x", b"/dev/zero",
    b"a" * 300, b"null", b"true", b"[]", b"{}", b"[" * 2000, b'{"a":' * 500, b"\\ud800", b"\\u0000", b"18446744073709551616",
)  # fmt: skip
"""Fragments that are odd in most formats of text."""
NUMBERS = tuple(
    value.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for value in (0, 1, (1 << (8 * size - 1)) - 1, 1 << (8 * size - 1), (1 << (8 * size)) - 1)
    for order in ("little", "big")
)
"""Sizes and counts that lie, in binary formats."""


def damaged(good: bytes, rng: random.Random, words: Sequence[bytes] = (), *, is_binary: bool = False) -> bytes:
    """`good` with 1 to 8 insertions, deletions, repetitions and overwritten places; sometimes unchanged."""
    data = bytearray(good)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 8))):
        at, way = rng.randrange(len(data) + 1), rng.random()
        word = rng.choice(words if words and rng.random() < 0.6 else NUMBERS if is_binary else TEXTS)
        if way < (0.6 if is_binary else 0.3):
            data[at : at + len(word)] = word
        elif way < 0.7:
            data[at:at] = word
        elif way < 0.85:
            del data[at : at + rng.randint(1, 40)]
        else:
            low = rng.randrange(len(data) + 1)
            data[at:at] = data[low : low + rng.randint(1, 120)]
    if rng.random() < 0.05:
        del data[rng.randrange(len(data) + 1) :]
    return bytes(data[:MAX_INPUT_BYTES])


def json_value(rng: random.Random, depth: int = 0) -> object:
    """Any JSON value, of few levels."""
    way = rng.randint(0, 11 if depth < 3 else 9)
    if way == 10:
        return [json_value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if way == 11:
        return {rng.choice("abc"): json_value(rng, depth + 1) for _ in range(rng.randint(0, 3))}
    return (
        None, True, rng.randint(-3, 3), 10 ** rng.randint(0, 400), -1.5, 1e300, float(rng.choice(("nan", "inf", "-inf"))), "", "A\x1b[2J",
        rng.choice(("\ud800", "\0", "25/1", "1e99999999", "a" * 2000, "2026-01-01T00:00:00Z")),
    )[way]  # fmt: skip


def changed_fields(fields: object, rng: random.Random, probability: float = 0.08) -> object:
    """A JSON value of which some parts are replaced, removed or added."""
    if rng.random() < probability:
        return json_value(rng)
    if isinstance(fields, dict):
        kept = {
            name: changed_fields(value, rng, probability)
            for name, value in fields.items()
            if rng.random() > probability / 3
        }
        return kept | ({"other": json_value(rng)} if rng.random() < probability else {})
    if isinstance(fields, list):
        return [changed_fields(value, rng, probability) for value in fields]
    return fields
