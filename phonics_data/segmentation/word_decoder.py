"""Words -> phrases of letters: one decision by dynamic programming over the whole song. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.evidence import (
    Evidence,
    EvidenceWeights,
    alphabet_pairs,
    named_letters,
    pattern_letters,
    weigh,
)
from phonics_data.segmentation.lexicon import tokens
from phonics_data.segmentation.phrases import Phrase, PhraseOptions, build_phrases
from phonics_data.segmentation.viterbi import Order, Run, TransitionCosts, best_path, runs_of, transition_costs
from phonics_data.types import Word


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeOptions:
    """Every number that the decision depends on.

    Args:
        order: ``strict`` expects the alphabet's order, ``any`` does not, ``auto`` looks which of the two the song keeps.
        min_pairs: distinct neighbours of the alphabet that a song must name (`alphabet_pairs`), or
        min_patterns: letters that it must name with an example (`pattern_letters`), or
        min_names: letters that it must name at all (`named_letters`); else it is no alphabet song.
    """

    order: Order = "auto"
    min_pairs: int = 10
    min_patterns: int = 6
    min_names: int = 15
    weights: EvidenceWeights = field(default_factory=EvidenceWeights)
    costs: TransitionCosts = field(default_factory=TransitionCosts)
    phrases: PhraseOptions = field(default_factory=PhraseOptions)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """The phrases of one song, and what the whole-song test measured.

    Args:
        is_alphabet: False refuses the whole song; `phrases` is then empty.
        num_pairs: what `alphabet_pairs` counted.
        num_patterns: what `pattern_letters` counted.
        order: ``strict`` or ``any``: the one that was used.
    """

    phrases: tuple[Phrase, ...]
    is_alphabet: bool
    num_pairs: int
    num_patterns: int
    order: Order


def decode_words(words: Sequence[Word], *, duration_seconds: float, options: DecodeOptions) -> Decoding:
    """The letters of a transcript.

    Args:
        words: in time order.
        duration_seconds: no phrase ends later.
    """
    found = tokens(words)
    evidence = weigh(found, options.weights)
    pairs, patterns = alphabet_pairs(found, evidence), pattern_letters(evidence)
    enough = (
        pairs >= options.min_pairs or patterns >= options.min_patterns or named_letters(evidence) >= options.min_names
    )
    if not enough:
        return Decoding(phrases=(), is_alphabet=False, num_pairs=pairs, num_patterns=patterns, order=options.order)
    path, order = _best_path(evidence, options)
    phrases = build_phrases(_standing_runs(path, evidence), found, evidence, duration_seconds, options.phrases)
    return Decoding(
        phrases=tuple(phrases), is_alphabet=bool(phrases), num_pairs=pairs, num_patterns=patterns, order=order
    )


# --- the path ------------------------------------------------------------------------------------------------------


def _path(evidence: Evidence, options: DecodeOptions, order: Order) -> NDArray[np.int64]:
    return best_path(evidence.letters_TL, evidence.none_T, transition_costs(options.costs, order))


def _best_path(evidence: Evidence, options: DecodeOptions) -> tuple[NDArray[np.int64], Order]:
    """(state of each token, the order that was used)."""
    if options.order != "auto":
        return _path(evidence, options, options.order), options.order
    free = _path(evidence, options, "any")
    letters = [run.letter for run in _standing_runs(free, evidence)]
    steps = np.diff(np.array(letters, np.int64))
    # A song that keeps the order in most places keeps it; its exceptions are more likely our mistakes.
    if steps.size and np.mean((steps >= 1) & (steps <= 2)) >= 0.5:
        return _path(evidence, options, "strict"), "strict"
    return free, "any"


def _standing_runs(path: NDArray[np.int64], evidence: Evidence) -> list[Run]:
    """The runs that are letters; two of one letter that only a fallen one divided are one again."""
    merged: list[Run] = []
    for low, high, letter in (run for run in runs_of(path) if _stands(run, path, evidence)):
        if merged and merged[-1].letter == letter and (path[merged[-1].high : low] < 26).all():
            low = merged.pop().low
        merged.append(Run(low, high, letter))
    return merged


def _stands(run: Run, path: NDArray[np.int64], evidence: Evidence) -> bool:
    """Whether a stretch is a letter: it is named or sounded, or its example or a word like its name stands between its neighbours in the alphabet."""
    low, high, letter = run
    if evidence.names_TL[low:high, letter].max() >= 0.5 or evidence.patterns_TL[low:high, letter].any():
        return True
    before, after = path[:low][path[:low] < 26], path[high:][path[high:] < 26]
    fits = before.size and after.size and before[-1] == letter - 1 and after[0] == letter + 1
    is_hinted = evidence.examples_TL[low:high, letter].max() >= 0.9 or evidence.names_TL[low:high, letter].max() >= 0.3
    return bool(fits and is_hinted)
