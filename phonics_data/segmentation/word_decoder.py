"""Words -> phrases: evidence per word, best path through the alphabet, boundaries. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.evidence import (
    Evidence,
    EvidenceWeights,
    count_alphabet_pairs,
    count_named_letters,
    count_pattern_letters,
    word_evidence,
)
from phonics_data.segmentation.lexicon import LETTERS, tokens
from phonics_data.segmentation.phrases import Phrase, build_phrases
from phonics_data.segmentation.viterbi import LetterRun, Order, TransitionCosts, best_path, runs_of, transition_costs
from phonics_data.types import Word

MIN_PAIRS, MIN_PATTERNS, MIN_NAMES = 10, 6, 15
"""A transcript is an alphabet song if it reaches one of these with `count_alphabet_pairs`, `count_pattern_letters` and
`count_named_letters`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WordDecoderOptions:
    """Numbers of the word decoder that were fitted.

    Args:
        order: ``strict`` expects alphabetical order, ``any`` does not, ``auto`` detects which of the two applies.
    """

    order: Order = "auto"
    weights: EvidenceWeights = field(default_factory=EvidenceWeights)
    costs: TransitionCosts = field(default_factory=TransitionCosts)


@dataclass(frozen=True, kw_only=True, slots=True)
class WordDecoding:
    """The phrases of a transcript.

    Args:
        is_alphabet: if False, the transcript is rejected and `phrases` is empty.
        num_pairs: result of `count_alphabet_pairs`.
        num_patterns: result of `count_pattern_letters`.
        order: ``strict`` or ``any``: the one that was used.
    """

    phrases: tuple[Phrase, ...]
    is_alphabet: bool
    num_pairs: int
    num_patterns: int
    order: Order


def decode_words(
    words: Sequence[Word], *, duration_seconds: float, options: WordDecoderOptions, letters: str = LETTERS
) -> WordDecoding:
    """The letters of a transcript, with their times.

    Args:
        words: in time order.
        duration_seconds: phrases end at this time at the latest.
        letters: the letters that the video may contain; evidence for others is ignored.
    """
    found = tokens(words)
    evidence = word_evidence(found, options.weights)
    if letters != LETTERS:
        evidence = evidence.restricted_to(letters)
    pairs, patterns = count_alphabet_pairs(found, evidence), count_pattern_letters(evidence)
    if pairs < MIN_PAIRS and patterns < MIN_PATTERNS and count_named_letters(evidence) < MIN_NAMES:
        return WordDecoding(phrases=(), is_alphabet=False, num_pairs=pairs, num_patterns=patterns, order=options.order)
    path, order = _best_path(evidence, options)
    phrases = build_phrases(_letter_runs(path, evidence), found, evidence, duration_seconds)
    return WordDecoding(
        phrases=tuple(phrases), is_alphabet=bool(phrases), num_pairs=pairs, num_patterns=patterns, order=order
    )


# --- path ----------------------------------------------------------------------------------------------------------


def _path(evidence: Evidence, options: WordDecoderOptions, order: Order) -> NDArray[np.int64]:
    return best_path(evidence.letters_TL, evidence.none_T, transition_costs(options.costs, order))


def _best_path(evidence: Evidence, options: WordDecoderOptions) -> tuple[NDArray[np.int64], Order]:
    """(state of each token, the order that was used)."""
    if options.order != "auto":
        return _path(evidence, options, options.order), options.order
    path = _path(evidence, options, "any")
    steps = np.diff(np.array([run.letter for run in _letter_runs(path, evidence)], np.int64))
    # If most steps are alphabetical, the exceptions are more likely errors of the transcript than of the song.
    if steps.size and np.mean((steps >= 1) & (steps <= 2)) >= 0.5:
        return _path(evidence, options, "strict"), "strict"
    return path, "any"


def _letter_runs(path: NDArray[np.int64], evidence: Evidence) -> list[LetterRun]:
    """The runs with enough evidence. Two runs of one letter are merged if only a run without evidence separates them."""
    merged: list[LetterRun] = []
    for low, high, letter in (run for run in runs_of(path) if _has_evidence(run, path, evidence)):
        if merged and merged[-1].letter == letter and (path[merged[-1].high : low] < 26).all():
            low = merged.pop().low
        merged.append(LetterRun(low, high, letter))
    return merged


def _has_evidence(run: LetterRun, path: NDArray[np.int64], evidence: Evidence) -> bool:
    """Whether a run contains the letter's name or sound, or an example or similar word between its alphabetical neighbours."""
    low, high, letter = run
    if evidence.names_TL[low:high, letter].max() >= 0.5 or evidence.patterns_TL[low:high, letter].any():
        return True
    before, after = path[:low][path[:low] < 26], path[high:][path[high:] < 26]
    fits = before.size and after.size and before[-1] == letter - 1 and after[0] == letter + 1
    has_example = evidence.examples_TL[low:high, letter].max() >= 0.9
    return bool(fits and (has_example or evidence.names_TL[low:high, letter].max() >= 0.3))
