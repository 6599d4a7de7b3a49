"""Splits of rendered songs: by song, so that every style of another split occurs in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from phonics_data.sources.synthetic.phrases_plan import PhrasesPlan
from phonics_data.types import Split

_HELD_OUT_SHARE = 0.1


def split_songs(songs: Sequence[PhrasesPlan], *, seed: int, with_test: bool) -> dict[str, Split]:
    """Video id -> split of songs of one collection.

    A tenth of the songs, at least one, is ``validation``, and as many ``test`` if wanted. A song is held out only if a
    song of its style remains in training, so fewer are held out if there are not enough. Among the songs that can be held
    out, the one with the most letters that its split lacks is chosen, then by `seed`.
    """
    splits: dict[str, Split] = {}
    for song in songs:
        splits[song.video_id] = "train"
    in_training = Counter(song.style for song in songs)
    order = [songs[position] for position in np.random.default_rng((seed, 0x5B117)).permutation(len(songs)).tolist()]
    held_out: tuple[Split, ...] = ("test", "validation") if with_test else ("validation",)
    covered = {split: set[str]() for split in held_out}
    for _ in range(max(1, round(_HELD_OUT_SHARE * len(songs)))):
        for split in held_out:
            free = [song for song in order if splits[song.video_id] == "train" and in_training[song.style] > 1]
            if not free:
                continue
            chosen = max(free, key=lambda song: len(set(song.letters) - covered[split]))
            splits[chosen.video_id] = split
            in_training[chosen.style] -= 1
            covered[split] |= set(chosen.letters)
    return splits
