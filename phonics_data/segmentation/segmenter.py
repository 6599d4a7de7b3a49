"""All evidence of a song -> its phrases. One source leads, the others fill its gaps, mend its edges and name the object. Pure.

Words and screen are decided each by itself (`decode`, `sight`), their phrases fused (`fuse`), and how likely each is right
told from all that is known (`certainty`). Captions that time each word lead when they pass their gate; so do captions of
whole lines, whose edges then come from the picture. A recognizer's words lead only where the screen shows no alphabet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.calibration import CalibrationFeatures, calibrated
from phonics_data.segmentation.fusion import FuseOptions, fuse
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import INFERRED_CONFIDENCE, Phrase
from phonics_data.segmentation.screen_decoder import ScreenDecoding, decode_screen
from phonics_data.segmentation.screen_evidence import ScreenOptions
from phonics_data.segmentation.viterbi import Order
from phonics_data.segmentation.word_decoder import DecodeOptions, Decoding, decode_words
from phonics_data.types import Origin, Word

CAPTION_ORIGINS: frozenset[Origin] = frozenset({"manual_captions", "auto_captions", "file"})


@dataclass(frozen=True, kw_only=True, slots=True)
class DecideOptions:
    """Every number of the decision over all sources; which of them were fitted, and how, stands in benchmarks/segmentation-fit.json.

    Args:
        near_seconds: an edge moves to the picture's when that is so near; words with times of their own.
        near_cue_seconds: the same for words that share the time of a line.
    """

    words: DecodeOptions = field(default_factory=DecodeOptions)
    screen: ScreenOptions = field(default_factory=ScreenOptions)
    near_seconds: float = 0.35
    near_cue_seconds: float = 1.0
    fusion: FuseOptions = field(default_factory=FuseOptions)
    certainty: CalibrationFeatures | None = field(default_factory=CalibrationFeatures)
    """None leaves each phrase the confidence that its sources give."""

    @staticmethod
    def of_order(order: Order) -> DecideOptions:
        """The defaults with this order for words and screen."""
        return DecideOptions(words=DecodeOptions(order=order), screen=ScreenOptions(order=order))


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a song's evidence says.

    Args:
        phrases: in time order, not overlapping; empty when no source shows an alphabet.
        words: what the words say, or None without any.
        screen: what the screen says, or None where it was not read.
    """

    phrases: tuple[Phrase, ...]
    words: Decoding | None
    screen: ScreenDecoding | None

    def why_not(self, options: DecideOptions) -> str:
        """Why no phrase was found, for a person."""
        parts: list[str] = []
        if self.words is not None:
            parts.append(
                f"the words name {self.words.num_pairs} pairs of neighbouring letters and {self.words.num_patterns} "
                f"letters with an example (an alphabet song: {options.words.min_pairs} or {options.words.min_patterns})"
            )
        if self.screen is not None:
            parts.append(
                f"the screen shows {self.screen.longest_chain} letters in order "
                f"(an alphabet song: {options.screen.min_chain}), {self.screen.order_z:.1f} standard deviations from "
                f"what chance shows (an alphabet song: {options.screen.min_order_z:g})"
            )
        return "; ".join(parts) or "no words, and the screen was not read"


def decide(
    words: Sequence[Word],
    origin: Origin,
    trace: ScreenTrace | None,
    *,
    duration_seconds: float,
    options: DecideOptions,
) -> Decision:
    """The phrases of a song from everything that is known about it."""
    heard = decode_words(words, duration_seconds=duration_seconds, options=options.words) if words else None
    shown = decode_screen(trace, options.screen) if trace is not None else None
    return combine(words, origin, heard, shown, duration_seconds=duration_seconds, options=options)


def combine(
    words: Sequence[Word],
    origin: Origin,
    heard: Decoding | None,
    shown: ScreenDecoding | None,
    *,
    duration_seconds: float,
    options: DecideOptions,
) -> Decision:
    """`decide` from what `decode_words` found in the words and `decode_screen` on the screen."""
    by_words = heard.phrases if heard is not None else ()
    by_screen = shown.phrases if shown is not None else ()
    name = "captions" if origin in CAPTION_ORIGINS else "speech"
    by_words = tuple(replace(phrase, evidence=name) for phrase in by_words)
    order = heard.order if heard is not None and heard.is_alphabet else shown.order if shown is not None else "any"
    if not by_words or (name == "speech" and by_screen):
        # Music makes a recognizer hear letters that nobody sang; the screen that shows an alphabet shows most of it.
        phrases = fuse(by_screen, by_words, order=order, near_seconds=0.0, options=options.fusion, fills_only=True)
    else:
        cue_level = sum(word.timing == "interpolated" for word in words) > len(words) / 2
        near = options.near_cue_seconds if cue_level else options.near_seconds
        phrases = fuse(by_words, by_screen, order=order, near_seconds=near, options=options.fusion)
    phrases = [
        replace(phrase, end_seconds=min(phrase.end_seconds, duration_seconds))
        for phrase in phrases
        if phrase.start_seconds < duration_seconds
    ]
    if options.certainty is not None:
        phrases = calibrated(phrases, options.certainty)
    return Decision(phrases=tuple(phrases), words=heard, screen=shown)


def needs_screen(words: Sequence[Word], *, duration_seconds: float) -> bool:
    """Whether the words leave room for doubt that a look at the screen could settle: it costs seconds a video."""
    if not words:
        return True
    heard = decode_words(words, duration_seconds=duration_seconds, options=DecodeOptions())
    if not heard.is_alphabet:
        return True
    letters = [LETTERS.index(phrase.letter) for phrase in heard.phrases]
    gaps = sum(after - before == 2 for before, after in pairwise(letters)) if heard.order == "strict" else 0
    doubtful = sum(phrase.confidence <= INFERRED_CONFIDENCE for phrase in heard.phrases)
    return gaps + doubtful > 0
