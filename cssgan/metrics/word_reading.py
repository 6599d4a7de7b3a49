"""Is the object's word written in the last frames? Read by OCR (`cssgan.metrics.screen_text`).

Words of several real clips are unreadable at 64 pixels, so that the measure is taken only where the word of the real
clip is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cssgan.errors import MetricError
from cssgan.metrics import screen_text
from cssgan.metrics.result import MetricResult, unavailable
from cssgan.metrics.screen_text import letters_only, shows_word
from cssgan.metrics.statistics import bootstrap_mean
from cssgan.metrics.videos import Floats, Ints, ReadVideos, VideoPairs, Videos, mean_defined

NAME = "word_read"
NOT_READ = "skipped (--skip words)"
MAX_CLIPS = 64
"""Clips that are read, a random choice: one frame takes .2 s."""


def shows(frames_THWC: NDArray[np.uint8], frames_per_second: float, word: str) -> bool:
    """Whether the word is read in one of the last frames of a video, uint8 (T, H, W, 3).

    Raises:
        MetricError: the package rapidocr is not installed.
    """
    return shows_word(screen_text.read_last_frames(frames_THWC, frames_per_second), word)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReadWords:
    """Of each clip whose real word is read, whether each set shows it.

    Args:
        shown: set -> float64 (N,): 1 if the word is read, else 0; NaN for clips that do not take part.
        num_tried: clips with a word of at least two letters of which the real video was read.
        num_readable: those whose real word is read.
    """

    shown: Mapping[str, Floats]
    num_tried: int
    num_readable: int


def read_words(
    real_NTHWC: Videos,
    videos: Mapping[str, Videos | ReadVideos],
    num_valid_N: Ints,
    frames_per_second_N: Floats,
    words: Sequence[str],
    seed: int = 0,
) -> ReadWords:
    """Read the last frames of real clips, and of the other sets where the real word is read.

    Args:
        videos: name -> videos of the same clips, or a function that reads rows of them.
        words: object word of each clip; "" if it has none.
    """
    with_word = np.array([n for n, word in enumerate(words) if len(letters_only(word)) > 1], np.int64)
    tried = np.sort(np.random.default_rng(seed).permutation(with_word)[:MAX_CLIPS])
    readable = [
        n for n in map(int, tried) if shows(real_NTHWC[n, : num_valid_N[n]], float(frames_per_second_N[n]), words[n])
    ]
    shown = {name: np.full(len(words), np.nan) for name in ("real", *videos)}
    shown["real"][readable] = 1.0
    for name, source in videos.items():
        for n in readable:
            video = source[n] if isinstance(source, np.ndarray) else source(slice(n, n + 1))[0]
            shown[name][n] = shows(video[: num_valid_N[n]], float(frames_per_second_N[n]), words[n])
    return ReadWords(shown=shown, num_tried=len(tried), num_readable=len(readable))


def word_read_result(
    pairs: VideoPairs,
    words: Sequence[str] | None,
    frames_per_second_N: Floats,
    controls: Mapping[str, Videos | ReadVideos],
    seed: int = 0,
) -> tuple[MetricResult, Floats]:
    """Share of the clips with a readable word whose generated video shows it, and the value of each clip.

    Args:
        words: object word of each clip; "" if it has none; None: words are not read, the metric is unavailable.
    """
    count, nothing = len(pairs), np.full(len(pairs), np.nan)

    def absent(reason: str) -> tuple[MetricResult, Floats]:
        return unavailable(NAME, reason, better="higher", n_real=count, n_fake=count), nothing

    if words is None:
        return absent(NOT_READ)
    if not any(len(letters_only(word)) > 1 for word in words):
        return absent("no clip has an object word")
    try:
        found = read_words(
            pairs.real_NTHWC,
            {"generated": pairs.fake_NTHWC, **controls},
            pairs.num_valid_N,
            frames_per_second_N,
            words,
            seed,
        )
    except MetricError as error:
        return absent(str(error))
    value_N = found.shown["generated"]
    value, _ = mean_defined(value_N)
    if value is None:
        return absent(f"the word of none of {found.num_tried} real clips is read at {pairs.real_NTHWC.shape[2]} pixels")
    means = {name: mean_defined(values)[0] for name, values in found.shown.items() if name != "generated"}
    result = MetricResult(
        name=NAME, value=value, better="higher", n_real=found.num_readable, n_fake=found.num_readable,
        num_undefined=count - found.num_readable, interval=bootstrap_mean(value_N, seed),
        controls={"readable_share_of_real": found.num_readable / found.num_tried},
        protocol={"reader": "rapidocr", "enlarged_to": "x".join(map(str, screen_text.PAGE)), "frames": screen_text.LAST_FRAMES,
                  "undefined": "clips whose real word is not read; not counted", "clips_read": found.num_tried},
    )  # fmt: skip
    return result.with_controls({name: mean for name, mean in means.items() if mean is not None}, scale=1.0), value_N
