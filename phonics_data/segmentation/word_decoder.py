"""Words -> phrases: evidence per word, best path through the alphabet, boundaries. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.evidence import (
    CLEARLY_NAMED,
    Evidence,
    EvidenceWeights,
    count_alphabet_pairs,
    count_named_letters,
    count_pattern_letters,
    word_evidence,
)
from phonics_data.segmentation.lexicon import LETTERS, Token, tokens
from phonics_data.segmentation.phrases import Phrase, build_phrases
from phonics_data.segmentation.viterbi import LetterRun, Order, TransitionCosts, runs_of
from phonics_data.segmentation.word_path import best_word_path
from phonics_data.types import Word

MIN_PAIRS, MIN_PATTERNS, MIN_NAMES = 10, 6, 15
"""A transcript is an alphabet song if it reaches one of these with `count_alphabet_pairs`, `count_pattern_letters` and
`count_named_letters`."""

_RANGE_SHARES = 0.75, 0.6, 0.9
"""The same for a few letters: shares of the pairs, patterns and names that these letters can give."""

_MAX_SLOT_STEPS = 3
"""Letters between two neighbours among which a rhyming name may take the place of one."""
_MIN_PACE = 0.45
"""Shortest time from letter to letter that fits, relative to the usual one; its inverse is the longest."""
_LONG_ROUND, _MIN_ROUND = 8, 4
"""Letters of a round of the alphabet beside which shorter rounds of bare names are no rounds."""


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
        num_names: result of `count_named_letters`.
        order: ``strict`` or ``any``: the one that was used.
    """

    phrases: tuple[Phrase, ...]
    is_alphabet: bool
    num_pairs: int
    num_patterns: int
    num_names: int
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
    counts = count_alphabet_pairs(found, evidence), count_pattern_letters(evidence), count_named_letters(evidence)
    if all(count < least for count, least in zip(counts, required_counts(letters), strict=True)):
        return _decoding((), counts, options.order)
    path, order = _best_path(found, evidence, options)
    runs = _letter_runs(path, found, evidence)
    if order == "strict":
        runs = _without_short_rounds(runs, evidence)
    return _decoding(tuple(build_phrases(runs, found, evidence, duration_seconds, letters)), counts, order)


def _decoding(phrases: tuple[Phrase, ...], counts: tuple[int, int, int], order: Order) -> WordDecoding:
    pairs, patterns, names = counts
    return WordDecoding(
        phrases=phrases,
        is_alphabet=bool(phrases),
        num_pairs=pairs,
        num_patterns=patterns,
        num_names=names,
        order=order,
    )


def required_counts(letters: str) -> tuple[int, int, int]:
    """(pairs, patterns, names) of which a transcript must reach one to contain a song of `letters`.

    Those of the whole alphabet, or, for a few letters, as large a share of what these can give. A song of one letter has
    no pairs and is not decoded here (`phonics_data.segmentation.single_letter`).
    """
    possible = sum(
        LETTERS.index(letter) + 1 < 26 and LETTERS[LETTERS.index(letter) + 1] in letters for letter in letters
    )
    limits = zip(
        (MIN_PAIRS, MIN_PATTERNS, MIN_NAMES), _RANGE_SHARES, (possible, len(letters), len(letters)), strict=True
    )
    pairs, patterns, names = (min(most, max(math.ceil(share * count), 1)) for most, share, count in limits)
    # A single letter may be named by accident, and vowels have no neighbours among them.
    return (pairs if possible else MIN_PAIRS), max(patterns, 2), max(names, 2)


# --- path ----------------------------------------------------------------------------------------------------------


def _best_path(
    found: Sequence[Token], evidence: Evidence, options: WordDecoderOptions
) -> tuple[NDArray[np.int64], Order]:
    """(state of each token, the order that was used)."""
    if options.order != "auto":
        return best_word_path(evidence, options.costs, options.order), options.order
    path = best_word_path(evidence, options.costs, "any")
    steps = np.diff(np.array([run.letter for run in _letter_runs(path, found, evidence)], np.int64))
    # If most steps are alphabetical, the exceptions are more likely errors of the transcript than of the song.
    if steps.size and np.mean((steps >= 1) & (steps <= 2)) >= 0.5:
        return best_word_path(evidence, options.costs, "strict"), "strict"
    return path, "any"


def _letter_runs(path: NDArray[np.int64], found: Sequence[Token], evidence: Evidence) -> list[LetterRun]:
    """The runs with enough evidence. Two runs of one letter are merged if only a run without evidence separates them."""
    merged: list[LetterRun] = []
    for low, high, letter in _in_slots(runs_of(path), found, evidence):
        if merged and merged[-1].letter == letter and (path[merged[-1].high : low] < 26).all():
            low = merged.pop().low
        merged.append(LetterRun(low, high, letter))
    return [_from_own_name(run, evidence) for run in merged]


def _in_slots(runs: Sequence[LetterRun], found: Sequence[Token], evidence: Evidence) -> list[LetterRun]:
    """The runs with evidence of their own, and those that fit between two of these by the order and the time.

    A letter fits by its example or a common word that sounds like its name, or by the name of a letter that rhymes with it.
    """
    is_sure = [_has_own_evidence(run, evidence) for run in runs]
    sure = [run for run, one in zip(runs, is_sure, strict=True) if one]
    starts = {run: found[run.low].start_seconds for run in runs}
    steps = [starts[after] - starts[before] for before, after in pairwise(sure) if after.letter == before.letter + 1]
    period = median(steps) if len(steps) > 3 else None
    kept: list[LetterRun] = []
    for index, run in enumerate(runs):
        if is_sure[index]:
            kept.append(run)
            continue
        before = next((one for one in reversed(runs[:index]) if one in sure), None)
        after = next((one for one in runs[index + 1 :] if one in sure), None)
        if before is None or after is None or not before.letter < run.letter < after.letter:
            continue
        if _fits(run, before, after, evidence) or (
            period is not None and _rhymes(run, before, after, starts, period, evidence)
        ):
            kept.append(run)
    return kept


def _has_own_evidence(run: LetterRun, evidence: Evidence) -> bool:
    """Whether a run contains the letter's name or sound, or a name-and-example pattern."""
    low, high, letter = run
    return bool(
        evidence.names_TL[low:high, letter].max() >= 0.5
        or evidence.patterns_TL[low:high, letter].any()
        or evidence.linked_TL[low:high, letter].any()
    )


def _fits(run: LetterRun, before: LetterRun, after: LetterRun, evidence: Evidence) -> bool:
    """Whether a run contains an example, or a word that sounds like the name, exactly between its neighbours of the alphabet."""
    low, high, letter = run
    has_example = evidence.examples_TL[low:high, letter].max() >= 0.9
    has_word = has_example or evidence.names_TL[low:high, letter].max() >= 0.3
    return bool(has_word and before.letter == letter - 1 and after.letter == letter + 1)


def _rhymes(
    run: LetterRun,
    before: LetterRun,
    after: LetterRun,
    starts: Mapping[LetterRun, float],
    period: float,
    evidence: Evidence,
) -> bool:
    """Whether a run begins with a name that rhymes with the letter's ("D" for T), at the time at which the letter is expected."""
    low, _, letter = run
    steps_before, steps_after = letter - before.letter, after.letter - letter
    if not evidence.similar_TL[low, letter] or steps_before + steps_after > _MAX_SLOT_STEPS:
        return False
    pace_before = (starts[run] - starts[before]) / (steps_before * period)
    pace_after = (starts[after] - starts[run]) / (steps_after * period)
    return all(_MIN_PACE <= pace <= 1 / _MIN_PACE for pace in (pace_before, pace_after))


def _from_own_name(run: LetterRun, evidence: Evidence) -> LetterRun:
    """The run from its first clear name on, if it has names only: words before it resemble the name at most."""
    low, high, letter = run
    has_other = (evidence.examples_TL[low:high, letter] >= 0.9).any() or evidence.patterns_TL[low:high, letter].any()
    clear = np.flatnonzero(evidence.names_TL[low:high, letter] >= CLEARLY_NAMED)
    return run if has_other or not clear.size else LetterRun(low + int(clear[0]), high, letter)


def _without_short_rounds(runs: Sequence[LetterRun], evidence: Evidence) -> list[LetterRun]:
    """The runs without rounds of a few bare names beside a long one: "now I know my A, B, C" is no second round."""
    rounds: list[list[LetterRun]] = []
    for run in runs:
        if not rounds or run.letter <= rounds[-1][-1].letter:
            rounds.append([])
        rounds[-1].append(run)
    if max(map(len, rounds), default=0) < _LONG_ROUND:
        return list(runs)
    return [
        run
        for one in rounds
        for run in one
        if len(one) >= _MIN_ROUND or any(evidence.patterns_TL[run.low : run.high, run.letter].any() for run in one)
    ]
