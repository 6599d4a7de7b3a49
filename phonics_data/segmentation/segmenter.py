"""Words and OCR detections of a song -> its phrases. Pure. The length rule (`length`) makes segments of phrases.

1. `word_decoder` decodes the words (captions or speech recognition) into phrases, `screen_decoder` the detections.
2. `fusion` fuses both. One source is the primary source; the other fills its gaps, corrects its boundaries and names the object.
3. `calibration` sets the confidence.
4. `units` divides phrases with several object words, and names objects from the screen's text.

A video of one letter, by its manifest row, has no alphabet to decode: `single_letter` finds its phrases.

Captions are the primary source if they name an alphabet, words of speech recognition only if the screen shows no alphabet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.calibration import CalibrationWeights, calibrated
from phonics_data.segmentation.fusion import FusionOptions, fill, fuse
from phonics_data.segmentation.length import LengthLimits
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import INFERRED_CONFIDENCE, Phrase
from phonics_data.segmentation.screen_decoder import ScreenDecoding, decode_screen, required_letters
from phonics_data.segmentation.screen_evidence import ScreenOptions
from phonics_data.segmentation.single_letter import decode_single_letter, is_mentioned
from phonics_data.segmentation.units import Unit, divide_phrases
from phonics_data.segmentation.viterbi import Order
from phonics_data.segmentation.word_decoder import WordDecoderOptions, WordDecoding, decode_words, required_counts
from phonics_data.types import Origin, Word

_MIN_EQUAL_STARTS = 0.65
"""Captions with cue times have priority over the screen if such a fraction of their phrases begins with one on the screen.
Exact cues have 0.88 to 1 (eight rendered songs), real cues of a phrase each 0.69, real lines of letters 0.62."""
CAPTION_ORIGINS: frozenset[Origin] = frozenset({"manual_captions", "auto_captions", "file"})


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmenterOptions:
    """The order of the song and the fitted numbers of all steps; benchmarks/segmentation-fit.json records the fit.

    Args:
        snap_seconds: a boundary moves to the screen's if it is this near; for words with times of their own.
        snap_cue_seconds: the same for words that share the time of a caption line.
        unit: ``phrase`` divides the interval of a letter into one phrase for each object word.
        min_seconds: length of the shortest clip; no phrase is divided into shorter ones.
        calibration: None keeps the confidence that the sources give.
    """

    words: WordDecoderOptions = field(default_factory=WordDecoderOptions)
    screen: ScreenOptions = field(default_factory=ScreenOptions)
    snap_seconds: float = 0.35
    snap_cue_seconds: float = 1.0
    fusion: FusionOptions = field(default_factory=FusionOptions)
    unit: Unit = "letter"
    min_seconds: float = LengthLimits().min_seconds
    calibration: CalibrationWeights | None = field(default_factory=CalibrationWeights)

    @staticmethod
    def of(order: Order, unit: Unit, limits: LengthLimits | None = None) -> SegmenterOptions:
        """The defaults with this order for words and screen, this unit, and the minimum of these limits."""
        return SegmenterOptions(
            words=WordDecoderOptions(order=order),
            screen=ScreenOptions(order=order),
            unit=unit,
            min_seconds=(limits or LengthLimits()).min_seconds,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Segmentation:
    """The phrases of a song.

    Args:
        phrases: in time order, without overlaps; empty if no source contains an alphabet.
        words: decoding of the words; None without words.
        screen: decoding of the detections; None without OCR.
        refusal: why a video of one letter has no phrases; it is decoded by `single_letter`, and `words` and `screen` are None.
        letters: that the video may contain.
    """

    phrases: tuple[Phrase, ...]
    words: WordDecoding | None
    screen: ScreenDecoding | None
    refusal: str = ""
    letters: str = LETTERS

    def rejection_detail(self, options: SegmenterOptions) -> str:
        """Message that explains why there are no phrases."""
        if self.refusal:
            return self.refusal
        parts: list[str] = []
        if self.words is not None:
            pairs, patterns, names = required_counts(self.letters)
            parts.append(
                f"the words name {self.words.num_pairs} pairs of neighbouring letters (required: {pairs}), "
                f"{self.words.num_patterns} letters with an example (or {patterns}) and {self.words.num_names} letters "
                f"clearly (or {names})"
            )
        if self.screen is not None:
            chain, different = required_letters(self.letters)
            others = ", and most of its letters are others" if self.screen.shows_others else ""
            parts.append(
                f"the screen shows {self.screen.longest_chain} letters in order (required: {chain}), "
                f"{self.screen.order_z:.1f} standard deviations above chance level (required: {self.screen.min_order_z:g}); without an "
                f"order {self.screen.num_letters} different letters (required: {different}), "
                f"{self.screen.distinct_z:.1f} above it (required: {options.screen.min_distinct_z:g}){others}"
            )
        song = "an alphabet song" if self.letters == LETTERS else f"a song of the letters {self.letters}"
        return f"not {song}: {'; '.join(parts) or 'no words, and OCR was not run'}"


def segment_song(
    words: Sequence[Word],
    origin: Origin,
    trace: ScreenTrace | None,
    *,
    duration_seconds: float,
    options: SegmenterOptions,
    letters: str = LETTERS,
) -> Segmentation:
    """The phrases of a song, from its words and its OCR trace.

    Args:
        letters: the letters that the video may contain, by its manifest row; at least one.
    """
    if len(letters) == 1:
        single = decode_single_letter(
            words,
            _source(origin),
            trace,
            letters,
            duration_seconds=duration_seconds,
            unit=options.unit,
            min_seconds=options.min_seconds,
        )
        return Segmentation(phrases=single.phrases, words=None, screen=None, refusal=single.refusal, letters=letters)
    by_words: WordDecoding | None = None
    if words:
        by_words = decode_words(words, duration_seconds=duration_seconds, options=options.words, letters=letters)
    by_screen: ScreenDecoding | None = None
    if trace is not None:
        is_expected = by_words is not None and by_words.is_alphabet
        by_screen = decode_screen(trace, options.screen, letters=letters, is_expected=is_expected)
    fused = fuse_decodings(words, origin, by_words, by_screen, duration_seconds=duration_seconds, options=options)
    phrases = divide_phrases(fused.phrases, trace, options.unit, min_seconds=options.min_seconds)
    return replace(fused, phrases=tuple(phrases), letters=letters)


def _source(origin: Origin) -> str:
    """The name of the words in `Phrase.evidence`."""
    return "captions" if origin in CAPTION_ORIGINS else "speech"


def fuse_decodings(
    words: Sequence[Word],
    origin: Origin,
    by_words: WordDecoding | None,
    by_screen: ScreenDecoding | None,
    *,
    duration_seconds: float,
    options: SegmenterOptions,
) -> Segmentation:
    """The phrases of letters, before `options.unit` is applied, from the results of `decode_words` and `decode_screen`."""
    source = _source(origin)
    word_phrases = [replace(phrase, evidence=source) for phrase in by_words.phrases] if by_words is not None else []
    screen_phrases = by_screen.phrases if by_screen is not None else ()
    if by_words is not None and by_words.is_alphabet:
        order = by_words.order
    else:
        order = by_screen.order if by_screen is not None else "any"
    has_line_times = has_cue_times(words)
    is_led_by_screen = source == "speech" or (
        has_line_times and _fraction_of_equal_starts(word_phrases, screen_phrases, options) < _MIN_EQUAL_STARTS
    )
    if not word_phrases or (screen_phrases and is_led_by_screen):
        # Speech recognition hallucinates letters in music, and a line of captions with several letters does not tell their
        # times ("A B C D", "A - P - P - L - E spells apple"). A screen that shows an alphabet shows most of its letters.
        phrases = fill(screen_phrases, word_phrases, order=order, options=options.fusion)
    else:
        phrases = fuse(
            word_phrases,
            screen_phrases,
            order=order,
            snap_seconds=options.snap_cue_seconds if has_line_times else options.snap_seconds,
            options=options.fusion,
            has_line_times=has_line_times,
        )
    phrases = [
        replace(phrase, end_seconds=min(phrase.end_seconds, duration_seconds))
        for phrase in phrases
        if phrase.start_seconds < duration_seconds
    ]
    if options.calibration is not None:
        phrases = calibrated(phrases, options.calibration)
    return Segmentation(phrases=tuple(phrases), words=by_words, screen=by_screen)


def _fraction_of_equal_starts(
    word_phrases: Sequence[Phrase], screen_phrases: Sequence[Phrase], options: SegmenterOptions
) -> float:
    """Fraction of the phrases of words that begin with a phrase of their letter on the screen."""
    starts = [(phrase.letter, phrase.start_seconds) for phrase in screen_phrases]
    equal = [
        any(letter == one.letter and abs(start - one.start_seconds) <= options.snap_seconds for letter, start in starts)
        for one in word_phrases
    ]
    return sum(equal) / max(len(equal), 1)


def has_cue_times(words: Sequence[Word]) -> bool:
    """Whether most words share the time of a caption line; their ends are up to 0.7 s late."""
    return sum(word.timing == "interpolated" for word in words) > len(words) / 2


def names_letters(words: Sequence[Word], *, duration_seconds: float, letters: str = LETTERS) -> bool:
    """Whether a transcript alone shows that a video contains these letters."""
    if len(letters) == 1:
        return is_mentioned(words, letters)
    return decode_words(
        words, duration_seconds=duration_seconds, options=WordDecoderOptions(), letters=letters
    ).is_alphabet


def needs_screen(words: Sequence[Word], *, duration_seconds: float, letters: str = LETTERS) -> bool:
    """Whether the words are uncertain enough to run OCR, which takes seconds per video.

    Always for one letter, since its object words are printed more reliably than sung; and for words without times of their
    own, since the screen has the boundaries.
    """
    if not words or len(letters) == 1 or has_cue_times(words):
        return True
    decoding = decode_words(words, duration_seconds=duration_seconds, options=WordDecoderOptions(), letters=letters)
    if not decoding.is_alphabet:
        return True
    indices = [letters.index(phrase.letter) for phrase in decoding.phrases]
    has_gap = decoding.order == "strict" and any(after - before == 2 for before, after in pairwise(indices))
    return has_gap or any(phrase.confidence <= INFERRED_CONFIDENCE for phrase in decoding.phrases)
