"""Is the object's word written in the last frames? Read by the package ``rapidocr`` (detector and recognizer of PP-OCRv6).

Frames of 64 pixels are enlarged before they are read. Words of several real clips are unreadable at this size, so that
the measure is taken only where the word of the real clip is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.result import MetricResult, unavailable
from cssgan.metrics.statistics import bootstrap_mean
from cssgan.metrics.videos import Floats, Ints, ReadVideos, VideoPairs, Videos, mean_defined
from phonics_data.errors import DependencyError

NAME = "word_read"
READ_SIZE = 256
"""Height and width to which frames are enlarged."""
DETECTOR_SIDE = 320
"""Smallest side of the detector's input. The package's 736 takes three times as long and reads fewer small words."""
EARLIER_SECONDS = 0.2
"""If the word is not read in the last frame, the frame this long before it is read too."""
MAX_CLIPS = 64
"""Clips that are read, a random choice: one frame takes .2 s."""


class WordReader:
    """Reads the text of frames. Loading the models takes a second.

    Raises:
        DependencyError: rapidocr or its runtime is not installed.
    """

    def __init__(self) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise DependencyError(
                f"reading words needs the package rapidocr, which cannot be loaded ({error}); run: pip install "
                "--upgrade rapidocr onnxruntime"
            ) from error
        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "error",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.limit_side_len": DETECTOR_SIDE,
                "Det.limit_type": "min",
            }
        )

    def letters(self, frame_HWC: NDArray[np.uint8]) -> str:
        """All letters of a uint8 RGB frame, upper case, lines joined in reading order."""
        size = (READ_SIZE, READ_SIZE)
        enlarged = cv2.resize(np.ascontiguousarray(frame_HWC), size, interpolation=cv2.INTER_CUBIC)
        found: Any = self._engine(np.ascontiguousarray(enlarged[..., ::-1]), use_cls=False)
        return letters_of(" ".join(found.txts or ()))

    def shows(self, frames_THWC: NDArray[np.uint8], frames_per_second: float, word: str) -> bool:
        """Whether the word is read in one of the last frames of a video."""
        last = len(frames_THWC) - 1
        earlier = max(0, last - round(EARLIER_SECONDS * frames_per_second))
        return any(letters_of(word) in self.letters(frames_THWC[t]) for t in dict.fromkeys((last, earlier)))


def letters_of(text: str) -> str:
    """The letters of a text in upper case."""
    return "".join(character for character in text.upper() if character.isalpha())


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
    reader: WordReader,
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
    with_word = np.array([n for n, word in enumerate(words) if len(letters_of(word)) > 1], np.int64)
    tried = np.sort(np.random.default_rng(seed).permutation(with_word)[:MAX_CLIPS])
    readable = [
        n
        for n in map(int, tried)
        if reader.shows(real_NTHWC[n, : num_valid_N[n]], float(frames_per_second_N[n]), words[n])
    ]
    shown = {name: np.full(len(words), np.nan) for name in ("real", *videos)}
    shown["real"][readable] = 1.0
    for name, source in videos.items():
        for n in readable:
            video = source[n] if isinstance(source, np.ndarray) else source(slice(n, n + 1))[0]
            shown[name][n] = reader.shows(video[: num_valid_N[n]], float(frames_per_second_N[n]), words[n])
    return ReadWords(shown=shown, num_tried=len(tried), num_readable=len(readable))


def word_read_result(
    pairs: VideoPairs,
    words: Sequence[str],
    frames_per_second_N: Floats,
    controls: Mapping[str, Videos | ReadVideos],
    seed: int = 0,
) -> tuple[MetricResult, Floats]:
    """Share of the clips with a readable word whose generated video shows it, and the value of each clip."""
    count, nothing = len(pairs), np.full(len(pairs), np.nan)

    def absent(reason: str) -> tuple[MetricResult, Floats]:
        return unavailable(NAME, reason, better="higher", n_real=count, n_fake=count), nothing

    if not any(len(letters_of(word)) > 1 for word in words):
        return absent("no clip has an object word")
    try:
        reader = WordReader()
    except DependencyError as error:
        return absent(str(error))
    found = read_words(
        reader, pairs.real_NTHWC, {"generated": pairs.fake_NTHWC, **controls}, pairs.num_valid_N,
        frames_per_second_N, words, seed,
    )  # fmt: skip
    value_N = found.shown["generated"]
    value, _ = mean_defined(value_N)
    if value is None:
        return absent(f"the word of none of {found.num_tried} real clips is read at {pairs.real_NTHWC.shape[2]} pixels")
    means = {name: mean_defined(values)[0] for name, values in found.shown.items() if name != "generated"}
    result = MetricResult(
        name=NAME, value=value, better="higher", n_real=found.num_readable, n_fake=found.num_readable,
        num_undefined=count - found.num_readable, interval=bootstrap_mean(value_N, seed),
        controls={"readable_share_of_real": found.num_readable / found.num_tried},
        protocol={"reader": "rapidocr", "enlarged_to": READ_SIZE, "frames": f"the last one, and {EARLIER_SECONDS} s before",
                  "undefined": "clips whose real word is not read; not counted", "clips_read": found.num_tried},
    )  # fmt: skip
    return result.with_controls({name: mean for name, mean in means.items() if mean is not None}, scale=1.0), value_N
