"""Exact search in pairs of binary hashes: two clips are near if both of their hashes differ by few bits.

Clips of one source and still pictures have almost equal image hashes, and equal or very short sounds have equal audio
hashes, so no index of one of the two hashes is selective on all data. For each clip the cheapest of these is used:

* **Tables of chunks of bits** (multi-index hashing with the general pigeonhole principle, Qin et al. 2018), of the image
  hash or of the audio hash. If two hashes differ by at most r bits, then of m disjoint chunks at least one differs
  by at most its radius, where the radii add up to r - m + 1. So the table of each chunk is looked up at all values within
  its radius.
* **Comparison with all**, where no table is selective.

Each pair that a table gives is compared in full, so the result is that of comparing all pairs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
_Near = tuple[Indices, Indices, Indices]
"""Pairs: index of the query, index of the other clip, number of different bits of both hashes."""

IMAGE_BITS = 192
AUDIO_BITS = 32

_SETTLED_AT_ONCE = 256
_FEW = 4096
"""Up to this number of clips on one side, comparing all is faster than building tables."""
_BLOCK_QUERIES, _BLOCK_OTHERS = 64, 8192
"""A block of pairs stays in the cache of the processor."""
_TABLE_QUERIES = 1 << 16
_TABLE_PAIRS = 1 << 20
"""Pairs from tables that are compared at once."""
_TABLE_COST = 8
"""A pair from a table costs about as much as this number of pairs in the comparison with all."""
_CHEAP = 10_000
"""A cost of a clip below which no cheaper table is looked for."""
_MAX_CHUNK_BITS = 22
"""The table of a chunk has 2 to the power of its bits entries."""
_MAX_LOOKUPS = 2000
"""Of one clip in all tables; more of them cost more than comparing all."""
_MAX_SHARE = 0.1
"""Of random hashes that the tables give; above it, comparing all is faster."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Hashes:
    """The hashes of N clips."""

    image_NB: NDArray[np.uint8]
    """`IMAGE_BITS` bits, packed into bytes."""
    audio_NB: NDArray[np.uint8]
    """`AUDIO_BITS` bits, packed into bytes."""


class NearHashes:
    """Searches clips in a given order. Two clips are near if neither of their hashes differs by more than its limit.

    Args:
        max_image_bits: maximum number of different bits of near image hashes.
        max_audio_bits: as `max_image_bits`.
    """

    def __init__(self, hashes: Hashes, *, max_image_bits: int, max_audio_bits: int) -> None:
        self._image_NW = np.ascontiguousarray(hashes.image_NB).view(np.uint64)
        self._audio_N = np.ascontiguousarray(hashes.audio_NB).view(np.uint32)[:, 0]
        self._max_image_bits, self._max_audio_bits = max_image_bits, max_audio_bits
        chunked = (
            _Chunked.of(hashes.image_NB, IMAGE_BITS, max_image_bits),
            _Chunked.of(hashes.audio_NB, AUDIO_BITS, max_audio_bits),
        )
        self._chunked = [one for one in chunked if one is not None]

    def originals(self) -> Indices:
        """The clips that are near no original before them, in ascending order."""
        return self._originals(np.arange(self._audio_N.size))

    def nearest(self, originals: Indices, rank_N: Indices) -> tuple[Indices, Indices]:
        """The nearest original before each clip that is not an original itself.

        Args:
            originals: from `originals`.
            rank_N: a permutation; of two originals at the same distance, the one of the lower rank is taken.

        Returns:
            For each of the N clips the index of that original and the number of different bits of both hashes; -1 and 0
            for originals.
        """
        number = self._audio_N.size
        is_copy = np.ones(number, np.bool_)
        is_copy[originals] = False
        copies = np.flatnonzero(is_copy)
        best = np.zeros(number, np.int64)
        best[copies] = np.iinfo(np.int64).max
        for query, other, bits in self._near(copies, originals):
            is_before = other < query
            np.minimum.at(best, query[is_before], (bits * number + rank_N[other])[is_before])
        nearest = np.full(number, -1)
        nearest[copies] = np.argsort(rank_N)[best[copies] % number]
        return nearest, best // number

    def _originals(self, clips: Indices) -> Indices:
        # By halves: the originals of the first half are complete when the second half is compared with them, so tables of
        # them can be built. One by one, each new original would have to be inserted.
        if clips.size <= _SETTLED_AT_ONCE:
            return self._settle(clips)
        first, second = self._originals(clips[: clips.size // 2]), clips[clips.size // 2 :]
        is_near = np.zeros(clips.size, np.bool_)
        for query, _, _ in self._near(second, first):
            is_near[np.searchsorted(second, query)] = True
        return np.concatenate([first, self._originals(second[~is_near[: second.size]])])

    def _settle(self, clips: Indices) -> Indices:
        near_QN = np.zeros((clips.size, clips.size), np.bool_)
        for query, other, _ in self._compare_all(clips, clips):
            near_QN[np.searchsorted(clips, query), np.searchsorted(clips, other)] = True
        is_original = np.ones(clips.size, np.bool_)
        for index in np.flatnonzero(np.tril(near_QN, -1).any(axis=1)):
            is_original[index] = not (near_QN[index, :index] & is_original[:index]).any()
        return clips[is_original]

    def _near(self, queries: Indices, others: Indices) -> Iterator[_Near]:
        """All near pairs; a pair can be given several times."""
        if min(queries.size, others.size) <= _FEW:
            yield from self._compare_all(queries, others)
            return
        tables = [_Tables(chunked, others, self._audio_N) for chunked in self._chunked]
        for start in range(0, queries.size, _TABLE_QUERIES):
            query = queries[start : start + _TABLE_QUERIES]
            # The last row is the comparison with all.
            costs_TQ = np.full((len(tables) + 1, query.size), np.iinfo(np.int64).max)
            costs_TQ[-1] = others.size
            for table, costs_Q in zip(tables, costs_TQ[:-1], strict=True):
                is_open = costs_TQ.min(axis=0) > _CHEAP
                costs_Q[is_open] = _TABLE_COST * table.num_pairs(query[is_open])
            cheapest_Q = costs_TQ.argmin(axis=0)
            for number, table in enumerate(tables):
                for near in table.pairs(query[cheapest_Q == number], self._max_audio_bits):
                    yield self._compare(*near)
            yield from self._compare_all(query[cheapest_Q == len(tables)], others)

    def _compare_all(self, queries: Indices, others: Indices) -> Iterator[_Near]:
        for other_start in range(0, others.size, _BLOCK_OTHERS):
            other = others[other_start : other_start + _BLOCK_OTHERS]
            other_audio, other_image_WN = self._audio_N[other], np.ascontiguousarray(self._image_NW[other].T)
            for query_start in range(0, queries.size, _BLOCK_QUERIES):
                query = queries[query_start : query_start + _BLOCK_QUERIES]
                is_near_QN = np.bitwise_count(self._audio_N[query][:, None] ^ other_audio) <= self._max_audio_bits
                # The audio hash is compared first: it is shorter, and seldom near.
                if 16 * np.count_nonzero(is_near_QN) > is_near_QN.size:
                    bits_QN = np.zeros(is_near_QN.shape, np.uint8)
                    for word, other_word_N in enumerate(other_image_WN):
                        bits_QN += np.bitwise_count(self._image_NW[query, word, None] ^ other_word_N)
                    is_near_QN &= bits_QN <= self._max_image_bits
                # On one axis this takes a third of the time of `np.nonzero`.
                rows, columns = np.divmod(np.flatnonzero(is_near_QN), other.size)
                if rows.size:
                    yield self._compare(query[rows], other[columns])

    def _compare(self, query: Indices, other: Indices) -> _Near:
        image_bits = np.bitwise_count(self._image_NW[query] ^ self._image_NW[other]).sum(axis=1, dtype=np.int64)
        audio_bits = np.bitwise_count(self._audio_N[query] ^ self._audio_N[other])
        is_near = (image_bits <= self._max_image_bits) & (audio_bits <= self._max_audio_bits)
        return query[is_near], other[is_near], (image_bits + audio_bits)[is_near]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Chunked:
    """Disjoint chunks of the bits of a hash, for each of N clips."""

    radii: tuple[int, ...]
    codes_CN: NDArray[np.int32]
    """The bits of each chunk as a number."""

    @staticmethod
    def of(hashes_NB: NDArray[np.uint8], num_bits: int, max_bits: int) -> _Chunked | None:
        """Chunks for a search of hashes that differ by at most `max_bits`; None if no division is selective."""
        best: tuple[float, int] | None = None
        for number in range(1, max_bits + 2):
            size = min(_MAX_CHUNK_BITS, num_bits // number)
            num_lookups = sum(_num_values(size, radius) for radius in _radii(number, max_bits))
            share = num_lookups / 2**size
            if num_lookups <= _MAX_LOOKUPS and share <= _MAX_SHARE and (best is None or share < best[0]):
                best = share, number
        if best is None:
            return None
        number = best[1]
        size = min(_MAX_CHUNK_BITS, num_bits // number)
        # A chunk has every m-th bit, because neighbouring cells of a picture are alike.
        weights_BC = np.zeros((num_bits, number), np.float32)
        for chunk in range(number):
            weights_BC[chunk::number, chunk][:size] = 2.0 ** np.arange(size)
        codes_CN = np.empty((number, len(hashes_NB)), np.int32)
        for start in range(0, len(hashes_NB), _TABLE_QUERIES):
            part = slice(start, start + _TABLE_QUERIES)
            codes_CN[:, part] = (np.unpackbits(hashes_NB[part], axis=1).astype(np.float32) @ weights_BC).T
        return _Chunked(radii=_radii(number, max_bits), codes_CN=codes_CN)


class _Tables:
    """Some clips by the values of each chunk."""

    def __init__(self, chunked: _Chunked, clips: Indices, audio_N: NDArray[np.uint32]) -> None:
        self._clips, self._audio_N, self._codes_CN = clips, audio_N, chunked.codes_CN
        # Fewer bits than a chunk has keep the tables of few clips small.
        size = min(_MAX_CHUNK_BITS, clips.size.bit_length() + 2)
        self._mask = (1 << size) - 1
        self._tables: list[tuple[list[int], Indices, Indices]] = []
        """Of each chunk: differences to look up; the first position of each value; the clips sorted by value."""
        for codes_N, radius in zip(chunked.codes_CN, chunked.radii, strict=True):
            values = codes_N[clips] & self._mask
            num_bits = min(size, int(codes_N.max()).bit_length())
            first = np.concatenate([[0], np.cumsum(np.bincount(values, minlength=1 << num_bits))])
            self._tables.append((_differences(num_bits, radius), first, clips[np.argsort(values, kind="stable")]))

    def num_pairs(self, queries: Indices) -> Indices:
        """Number of pairs of each query that `pairs` has to compare."""
        number = np.zeros(queries.size, np.int64)
        for _, counts, _ in self._lookups(queries):
            number += counts
        return number

    def pairs(self, queries: Indices, max_audio_bits: int) -> Iterator[tuple[Indices, Indices]]:
        """Pairs with near audio hashes, among them all with near image hashes."""
        for starts, counts, clips in self._lookups(queries):
            found = np.flatnonzero(counts)
            for part in _parts(counts[found], _TABLE_PAIRS):
                rows, lengths = found[part], counts[found[part]]
                before = np.cumsum(lengths) - lengths
                query = np.repeat(queries[rows], lengths)
                other = clips[np.repeat(starts[rows] - before, lengths) + np.arange(query.size)]
                is_near = np.bitwise_count(self._audio_N[query] ^ self._audio_N[other]) <= max_audio_bits
                if is_near.any():
                    yield query[is_near], other[is_near]

    def _lookups(self, queries: Indices) -> Iterator[tuple[Indices, Indices, Indices]]:
        """For each lookup the first position and the number of the clips of each query, and the sorted clips."""
        for codes_N, (differences, first, clips) in zip(self._codes_CN, self._tables, strict=True):
            values = codes_N[queries] & self._mask
            for difference in differences:
                looked_up = values ^ difference
                starts = first[looked_up]
                yield starts, first[looked_up + 1] - starts, clips


def _radii(number: int, max_bits: int) -> tuple[int, ...]:
    """Radii of chunks whose sum is `max_bits` - `number` + 1, as equal as possible."""
    each, more = divmod(max_bits - number + 1, number)
    return tuple(each + (chunk < more) for chunk in range(number))


def _num_values(num_bits: int, radius: int) -> int:
    """Number of values of `num_bits` bits within `radius` of one."""
    return sum(math.comb(num_bits, number) for number in range(radius + 1))


def _differences(num_bits: int, radius: int) -> list[int]:
    """All values of `num_bits` bits of which at most `radius` are set."""
    return [
        sum(1 << bit for bit in bits)
        for number in range(radius + 1)
        for bits in itertools.combinations(range(num_bits), number)
    ]


def _parts(counts: Indices, limit: int) -> Iterator[slice]:
    """Slices of `counts` with sums of about `limit`, or of a single larger element."""
    sums, start = np.cumsum(counts), 0
    while start < counts.size:
        before = int(sums[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(sums, before + limit, side="right")))
        yield slice(start, end)
        start = end
