"""Letters read on the screen -> phrases: the same kind of decision as for words, look by look. Pure."""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from phonics_data.ocr.trace import ScreenTrace
from phonics_data.segmentation.phrases import Phrase
from phonics_data.segmentation.screen_evidence import ScreenOptions, best_row, detection_weights, screen_evidence
from phonics_data.segmentation.significance import distinct_z, order_z
from phonics_data.segmentation.visibility import phrases_of
from phonics_data.segmentation.viterbi import Order, Run, Scores, best_path, runs_of, transition_costs


@dataclass(frozen=True, kw_only=True, slots=True)
class ScreenDecoding:
    """The phrases that the screen shows.

    Args:
        is_alphabet: False refuses the whole video; `phrases` is then empty.
        longest_chain: letters in the longest stretch that rises through the alphabet by one or two.
        num_letters: different letters on the path.
        order_z, distinct_z: how far the letters are from what chance shows (`phonics_data.segmentation.significance`).
    """

    phrases: tuple[Phrase, ...]
    is_alphabet: bool
    longest_chain: int
    num_letters: int
    order: Order
    order_z: float
    distinct_z: float


def decode_screen(trace: ScreenTrace, options: ScreenOptions) -> ScreenDecoding:
    """The letters that a video shows, with the seconds of each."""
    shares = detection_weights(trace, options)
    letters_TL = screen_evidence(trace, options, shares=shares)
    # Both tests see the evidence before the video's own alphabet has been searched in it, which would favour what was found.
    surprise = order_z(letters_TL, transition_costs(options.costs, "strict"))
    distinct = distinct_z(_letters(_strong(runs_of(_path(letters_TL, options, "any")), letters_TL, options)))
    # Seen once, it is known where this video shows its letters; what is read elsewhere is mostly a drawing.
    trust_R = _trust(_decide(letters_TL, options)[0], letters_TL, trace, options)
    letters_TL = screen_evidence(trace, options, shares=shares, trust_R=trust_R)
    runs, order = _decide(letters_TL, options)
    chain = _longest_chain(runs)
    in_order = chain >= options.min_chain and surprise >= options.min_order_z
    shows_each = len(set(_letters(_strong(runs, letters_TL, options)))) >= options.min_letters
    shuffled = order == "any" and shows_each and distinct >= options.min_distinct_z
    is_alphabet = in_order or shuffled
    return ScreenDecoding(
        phrases=tuple(phrases_of(runs, letters_TL, trace, options)) if is_alphabet else (),
        is_alphabet=is_alphabet,
        longest_chain=chain,
        num_letters=len({run.letter for run in runs}),
        order=order,
        order_z=surprise,
        distinct_z=distinct,
    )


def _trust(runs: list[Run], letters_TL: Scores, trace: ScreenTrace, options: ScreenOptions) -> Scores:
    """(readings,) 1 where this video shows most of its letters, down to `options.least_trust` elsewhere.

    A place is a height on the screen and a size of letter; it is worth as many letters as the path finds there.
    """
    rows: list[int] = []
    for run in _strong(runs, letters_TL, options):
        looks = np.flatnonzero(letters_TL[run.low : run.high, run.letter] > 0) + run.low
        if looks.size:
            rows.append(best_row(int(looks[letters_TL[looks, run.letter].argmax()]), run.letter, trace))
    if len(rows) < options.min_chain:
        return np.ones(trace.look_R.size)
    middle_R = trace.box_R4[:, [1, 3]].mean(axis=1)
    height_R = trace.box_R4[:, 3] - trace.box_R4[:, 1]
    level = np.abs(middle_R[:, None] - middle_R[rows][None]) < 0.1
    alike = np.abs(np.log(height_R[:, None] / height_R[rows][None])) < 0.3
    letters = np.array([int(trace.letters_R26[row].argmax()) for row in rows])
    counts = np.array([np.unique(letters[near]).size for near in level & alike])
    most = max(int(counts[rows].max()), 1)
    return np.clip(2 * counts / most, options.least_trust, 1.0)


# --- path ----------------------------------------------------------------------------------------------------------


def _path(letters_TL: Scores, options: ScreenOptions, order: Order) -> NDArray[np.int64]:
    return best_path(letters_TL, np.zeros(letters_TL.shape[0]), transition_costs(options.costs, order))


def _strong(runs: list[Run], letters_TL: Scores, options: ScreenOptions) -> list[Run]:
    """The runs with so much evidence that they were hardly a drawing: of cards that stand still, each is read but once."""
    said = [float(letters_TL[run.low : run.high, run.letter].sum()) for run in runs]
    least = min(options.strong, options.strong_share * median(said)) if said else 0.0
    return [run for run, strength in zip(runs, said, strict=True) if strength >= least]


def _letters(runs: list[Run]) -> list[int]:
    return [run.letter for run in runs]


def _decide(letters_TL: Scores, options: ScreenOptions) -> tuple[list[Run], Order]:
    order = options.order
    if order == "auto":
        strong = _letters(_strong(runs_of(_path(letters_TL, options, "any")), letters_TL, options))
        order = "strict" if _longest_rise(strong) >= options.ordered_share * len(set(strong)) else "any"
    runs = _with_shared_looks(runs_of(_path(letters_TL, options, order)), letters_TL)
    return (
        (_without_strays(runs, options), order)
        if order == "strict"
        else (_first_of_each(runs, letters_TL, options), order)
    )


def _with_shared_looks(runs: list[Run], letters_TL: Scores) -> list[Run]:
    """Of two letters that were marked at once the path gives all looks to one; the later one gets those at which both were read.

    As long as the earlier one was read before, too.
    """
    shared: list[Run] = []
    for run in runs:
        before = shared[-1] if shared else None
        if before is not None and before.high == run.low and not letters_TL[run.low : run.high, run.letter].any():
            own, other = letters_TL[before.low : before.high, [before.letter, run.letter]].T
            both = np.flatnonzero((own > 0) & (other > 0))
            both = both[both > np.flatnonzero(own)[0]] if both.size else both
            if both.size:
                low = before.low + int(both[other[both].argmax()])
                shared[-1] = Run(before.low, low, before.letter)
                run = Run(low, run.high, run.letter)
        shared.append(run)
    return shared


def _longest_rise(letters: list[int]) -> int:
    """Length of the longest strictly rising subsequence; of 26 shuffled letters it is about 9."""
    tails: list[int] = []
    for letter in letters:
        place = bisect.bisect_left(tails, letter)
        tails[place : place + 1] = [letter]
    return len(tails)


def _tight_chains(runs: list[Run]) -> list[list[Run]]:
    """The runs in stretches that rise through the alphabet by one to three letters."""
    chains: list[list[Run]] = []
    for run in runs:
        if chains and 1 <= run.letter - chains[-1][-1].letter <= 3:
            chains[-1].append(run)
        else:
            chains.append([run])
    return chains


def _longest_chain(runs: list[Run]) -> int:
    return max((len(chain) for chain in _tight_chains(runs)), default=0)


def _without_strays(runs: list[Run], options: ScreenOptions) -> list[Run]:
    """Without titles, choruses and end cards: short chains beside a long one, unless they lie between its parts."""
    chains = _tight_chains(runs)
    if max((len(chain) for chain in chains), default=0) < options.min_chain:
        return runs
    kept: list[Run] = []
    for index, chain in enumerate(chains):
        before = kept[-1].letter if kept else -1
        after = chains[index + 1][0].letter if index + 1 < len(chains) else 26
        if len(chain) >= options.stray_chain or before < chain[0].letter <= chain[-1].letter < after:
            kept.extend(chain)
    return kept


def _first_of_each(runs: list[Run], letters_TL: Scores, options: ScreenOptions) -> list[Run]:
    """Of a song without order, the run of each letter with the most evidence: a shuffled alphabet shows each once.

    All runs of a song that shows most of its letters more than once: it goes through them in rounds. Without an order
    nothing but its time tells a piece of a drawing from a letter: one that is read for a moment, where letters stay, is none.
    """
    strength = {run: float(letters_TL[run.low : run.high, run.letter].sum()) for run in runs}
    best: dict[int, Run] = {}
    times = Counter(_letters(_strong(runs, letters_TL, options)))
    for run in runs:
        if run.letter not in best or strength[run] > strength[best[run.letter]]:
            best[run.letter] = run
    in_rounds = sum(count > 1 for count in times.values()) > 0.6 * len(best)
    kept = runs if in_rounds else [run for run in runs if best[run.letter] == run]
    stays = [_stay(run, letters_TL) for run in kept]
    least = options.shortest * median(stays) if stays else 0.0
    return [run for run, looks in zip(kept, stays, strict=True) if looks >= least]


def _stay(run: Run, letters_TL: Scores) -> int:
    """Looks from the first to the last that speak for the run's letter."""
    looks = np.flatnonzero(letters_TL[run.low : run.high, run.letter])
    return int(looks[-1] - looks[0]) + 1 if looks.size else 0
