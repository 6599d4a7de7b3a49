"""OCR detections -> phrases: evidence per sampled frame, best path through the alphabet, boundaries. Pure."""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass, replace
from math import ceil
from statistics import median

import numpy as np

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.screen_evidence import ScreenOptions, detection_weights, screen_evidence, without_wide_i
from phonics_data.segmentation.significance import distinct_z, order_z
from phonics_data.segmentation.tracks import best_detection
from phonics_data.segmentation.visibility import screen_phrases
from phonics_data.segmentation.viterbi import LetterRun, Order, Scores, best_path, ranks, runs_of, transition_costs

MIN_CHAIN = 6
"""Letters in alphabetical order that a video must show in a row, or"""
MIN_LETTERS = 12
"""different letters that a video with another order must show. Otherwise the video shows no alphabet."""
_MIN_CHAIN_FRACTION, _MIN_LETTERS_FRACTION = 0.6, 0.8
_LEAST = 3
"""The same as fractions of the allowed letters, and at least three, if only some are allowed. Of one or two letters there
is no order."""
_FEW_LETTERS = 13
"""So few allowed letters are announced: the video shows them, in any order, if most letters that it shows are among them."""
_LONG_CHAIN = 8
_MIN_ISOLATED_CHAIN = 4
"""Shorter chains beside a chain of `_LONG_CHAIN` or more do not belong to the alphabet."""
_ORDERED_FRACTION = 0.6
"""The order is ``strict`` if so large a fraction of the letters rises through the alphabet."""
_MIN_RELATIVE_DURATION = 0.25
"""Without an order, letters that are detected for less than this fraction of the median time are dropped."""
_STRONG_EVIDENCE = 1.5
_STRONG_FRACTION = 0.75
"""A run is strong if it has this evidence, or this fraction of the video's median."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenDecoding:
    """The phrases that a video shows.

    Args:
        is_alphabet: if False, the video is rejected and `phrases` is empty.
        longest_chain: letters in the longest sequence of detected letters that rises by one to three letters.
        num_letters: different letters on the path.
        order_z, distinct_z: deviations from chance (`phonics_data.segmentation.significance`).
        min_order_z: the limit of `order_z` that applies to this video.
        shows_others: most letters that the video shows are not among the allowed ones.
    """

    phrases: tuple[Phrase, ...]
    is_alphabet: bool
    longest_chain: int
    num_letters: int
    order: Order
    order_z: float
    distinct_z: float
    min_order_z: float
    shows_others: bool = False


def decode_screen(
    trace: ScreenTrace, options: ScreenOptions, *, letters: str = LETTERS, is_expected: bool = False
) -> ScreenDecoding:
    """The letters that a video shows, with their times.

    Args:
        letters: the letters that the video may contain; detections of others are ignored. The video must show most of them.
        is_expected: its words or its manifest row contain letters of the alphabet, so that less evidence suffices. True if
            `letters` are only some of the alphabet.
    """
    is_expected |= letters != LETTERS
    trace = without_wide_i(trace)
    table = transition_costs(options.costs, "strict")
    # Both tests use the evidence before the location prior, which is derived from the letters found and would favour them,
    # and the order test that of all letters: a few letters that are left always are in some order.
    weights = detection_weights(trace, options)
    letters_TL = screen_evidence(trace, options, weights=weights)
    order_deviation = order_z(letters_TL, table)
    is_announced, shows_others = False, False
    if letters != LETTERS:
        found = _strong_letters(_path_runs(letters_TL, options, "any", LETTERS), letters_TL)
        shows_others = 2 * sum(LETTERS[one] in letters for one in found) < len(found)
        is_announced = len(letters) <= _FEW_LETTERS and not shows_others
        is_allowed_L = np.array([letter in letters for letter in LETTERS])
        trace = replace(trace, letters_R26=trace.letters_R26 * is_allowed_L)
        weights = detection_weights(trace, options)
        letters_TL = screen_evidence(trace, options, weights=weights)
    distinct_deviation = distinct_z(_strong_letters(_path_runs(letters_TL, options, "any", LETTERS), letters_TL))
    prior_R = _location_prior(_decode(letters_TL, options, letters)[0], letters_TL, trace, options)
    letters_TL = screen_evidence(trace, options, weights=weights, prior_R=prior_R)
    runs, order = _decode(letters_TL, options, letters)
    longest_chain = max((len(chain) for chain in _chains(runs, letters)), default=0)
    min_chain, min_letters = required_letters(letters)
    min_order_z = options.min_expected_order_z if is_expected and not shows_others else options.min_order_z
    is_ordered = longest_chain >= min_chain and order_deviation >= min_order_z
    has_enough_letters = len(set(_strong_letters(runs, letters_TL))) >= min_letters
    is_shuffled = order == "any" and has_enough_letters and distinct_deviation >= options.min_distinct_z
    # A video of more letters than its row allows is one of an alphabet; without an order, its letters are drawings.
    is_alphabet = is_ordered or ((is_shuffled or (is_announced and has_enough_letters)) and not shows_others)
    return ScreenDecoding(
        phrases=tuple(screen_phrases(runs, letters_TL, trace)) if is_alphabet else (),
        is_alphabet=is_alphabet,
        longest_chain=longest_chain,
        num_letters=len({run.letter for run in runs}),
        order=order,
        order_z=order_deviation,
        distinct_z=distinct_deviation,
        min_order_z=min_order_z,
        shows_others=shows_others,
    )


def required_letters(letters: str) -> tuple[int, int]:
    """(letters in order, different letters without an order) that a video of these letters must show."""
    return (
        min(MIN_CHAIN, max(_LEAST, ceil(_MIN_CHAIN_FRACTION * len(letters)))),
        min(MIN_LETTERS, max(_LEAST, ceil(_MIN_LETTERS_FRACTION * len(letters)))),
    )


def _location_prior(runs: list[LetterRun], letters_TL: Scores, trace: ScreenTrace, options: ScreenOptions) -> Scores:
    """(detections,) 1 at the heights and sizes at which this video shows most letters, down to `options.min_prior` elsewhere.

    Detections elsewhere are mostly drawings. A location (vertical centre and height of the box) is rated by the number
    of different letters that the path has there.
    """
    rows: list[int] = []
    for run in _strong_runs(runs, letters_TL):
        frames = np.flatnonzero(letters_TL[run.low : run.high, run.letter] > 0) + run.low
        if frames.size:
            rows.append(best_detection(int(frames[letters_TL[frames, run.letter].argmax()]), run.letter, trace))
    if len(rows) < _LONG_CHAIN:
        return np.ones(trace.frame_R.size)
    centre_R = trace.box_R4[:, [1, 3]].mean(axis=1)
    height_R = trace.box_R4[:, 3] - trace.box_R4[:, 1]
    is_level = np.abs(centre_R[:, None] - centre_R[rows][None]) < 0.1
    has_size = np.abs(np.log(height_R[:, None] / height_R[rows][None])) < 0.3
    letters = trace.letter_R[rows]
    counts = np.array([np.unique(letters[near]).size for near in is_level & has_size])
    most = max(int(counts[rows].max()), 1)
    return np.clip(2 * counts / most, options.min_prior, 1.0)


# --- path ----------------------------------------------------------------------------------------------------------


def _decode(letters_TL: Scores, options: ScreenOptions, letters: str) -> tuple[list[LetterRun], Order]:
    """(runs of the best path, the order that was used)."""
    order = options.order
    if order == "auto":
        found = _strong_letters(_path_runs(letters_TL, options, "any", letters), letters_TL)
        order = "strict" if _longest_rise(found) >= _ORDERED_FRACTION * len(set(found)) else "any"
    runs = _divide_shared_frames(_path_runs(letters_TL, options, order, letters), letters_TL)
    # The path passes letters that were not detected, because each step to the next letter costs less than a leap.
    runs = [run for run in runs if letters_TL[run.low : run.high, run.letter].any()]
    return (_without_isolated_runs(runs, letters) if order == "strict" else _best_of_each(runs, letters_TL)), order


def _path_runs(letters_TL: Scores, options: ScreenOptions, order: Order, letters: str) -> list[LetterRun]:
    table = transition_costs(options.costs, order, letters)
    return runs_of(best_path(letters_TL, np.zeros(letters_TL.shape[0]), table))


def _evidence(run: LetterRun, letters_TL: Scores) -> float:
    return float(letters_TL[run.low : run.high, run.letter].sum())


def _strong_runs(runs: list[LetterRun], letters_TL: Scores) -> list[LetterRun]:
    """The runs with enough evidence not to be drawings. Static cards are detected only once, so the limit is relative."""
    evidence = [_evidence(run, letters_TL) for run in runs]
    least = min(_STRONG_EVIDENCE, _STRONG_FRACTION * median(evidence)) if evidence else 0.0
    return [run for run, value in zip(runs, evidence, strict=True) if value >= least]


def _strong_letters(runs: list[LetterRun], letters_TL: Scores) -> list[int]:
    return [run.letter for run in _strong_runs(runs, letters_TL)]


def _divide_shared_frames(runs: list[LetterRun], letters_TL: Scores) -> list[LetterRun]:
    """The runs, where frames of two letters that were marked at the same time are divided between them.

    The path assigns all of these frames to one letter. The later letter gets those from the frame on in which both were
    detected, if the earlier letter was also detected before.
    """
    divided: list[LetterRun] = []
    for run in runs:
        before = divided[-1] if divided else None
        if before is not None and before.high == run.low and not letters_TL[run.low : run.high, run.letter].any():
            own, other = letters_TL[before.low : before.high, [before.letter, run.letter]].T
            both = np.flatnonzero((own > 0) & (other > 0))
            both = both[both > np.flatnonzero(own)[0]] if both.size else both
            if both.size:
                low = before.low + int(both[other[both].argmax()])
                divided[-1] = LetterRun(before.low, low, before.letter)
                run = LetterRun(low, run.high, run.letter)
        divided.append(run)
    return divided


def _longest_rise(letters: list[int]) -> int:
    """Length of the longest strictly rising subsequence; about 9 for 26 shuffled letters."""
    tails: list[int] = []
    for letter in letters:
        place = bisect.bisect_left(tails, letter)
        tails[place : place + 1] = [letter]
    return len(tails)


def _chains(runs: list[LetterRun], letters: str) -> list[list[LetterRun]]:
    """The runs in sequences that rise through `letters` by one to three letters."""
    rank = ranks(letters)
    chains: list[list[LetterRun]] = []
    for run in runs:
        if chains and 1 <= rank[run.letter] - rank[chains[-1][-1].letter] <= 3:
            chains[-1].append(run)
        else:
            chains.append([run])
    return chains


def _without_isolated_runs(runs: list[LetterRun], letters: str) -> list[LetterRun]:
    """The runs without titles, choruses and end cards: short chains beside a long one that do not fit between its parts."""
    chains = _chains(runs, letters)
    if max((len(chain) for chain in chains), default=0) < _LONG_CHAIN:
        return runs
    kept: list[LetterRun] = []
    for index, chain in enumerate(chains):
        before = kept[-1].letter if kept else -1
        after = chains[index + 1][0].letter if index + 1 < len(chains) else 26
        if len(chain) >= _MIN_ISOLATED_CHAIN or before < chain[0].letter <= chain[-1].letter < after:
            kept.extend(chain)
    return kept


def _best_of_each(runs: list[LetterRun], letters_TL: Scores) -> list[LetterRun]:
    """For a song without order: the run of each letter with the most evidence, because a shuffled alphabet shows each once.

    All runs are kept if most letters are shown more than once (the song repeats the alphabet). Runs that are much shorter
    than the median are dropped: without an order, only duration distinguishes a part of a drawing from a letter.
    """
    evidence = {run: _evidence(run, letters_TL) for run in runs}
    best: dict[int, LetterRun] = {}
    for run in runs:
        if run.letter not in best or evidence[run] > evidence[best[run.letter]]:
            best[run.letter] = run
    counts = Counter(_strong_letters(runs, letters_TL))
    is_repeated = sum(count > 1 for count in counts.values()) > 0.6 * len(best)
    kept = runs if is_repeated else [run for run in runs if best[run.letter] == run]
    durations = [_duration(run, letters_TL) for run in kept]
    least = _MIN_RELATIVE_DURATION * median(durations) if durations else 0.0
    return [run for run, duration in zip(kept, durations, strict=True) if duration >= least]


def _duration(run: LetterRun, letters_TL: Scores) -> int:
    """Sampled frames from the first to the last with evidence for the run's letter."""
    frames = np.flatnonzero(letters_TL[run.low : run.high, run.letter])
    return int(frames[-1] - frames[0]) + 1 if frames.size else 0
