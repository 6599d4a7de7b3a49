"""Words -> what each says for each letter, and for none: the numbers that the decision is made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.lexicon import (
    FILLERS,
    GREETINGS,
    LETTERS,
    Token,
    confusable,
    example_of,
    name_of,
    sound_of,
)

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceWeights:
    """How much each kind of sign counts, in the units of `TransitionCosts`. Set by the design, checked on rendered songs."""

    name: float = 1.2
    sound: float = 0.7
    example: float = 1.2
    lone_example: float = 0.5
    """An example word without its letter's name nearby: "ball" alone says less than "B ... ball"."""
    pattern: float = 1.0
    """For name and example of "B is for ball", "B, b, ball", "B says buh"."""
    confusable: float = 0.2
    """Share of a name's weight that goes to letters with similar names."""
    chorus: float = 0.6
    """For no letter, a word of "now I know my ABC" and its like."""
    greeting: float = 0.15
    """For no letter, a word of greetings, farewells and adverts."""
    filler: float = 0.02
    """For no letter, a word that says nothing."""
    reach_seconds: float = 5.0
    """How far apart a name and its example may stand."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the tokens say.

    Args:
        letters_TL: (tokens, 26) weights >= 0 for each letter.
        none_T: (tokens,) weights >= 0 for no letter.
        names_TL: (tokens, 26) 0..1, how surely the token names or sounds the letter: a sign that stands for itself.
        examples_TL: (tokens, 26) 0..1, how surely the token is an example word.
        patterns_TL: (tokens, 26) True where the token is part of a name-and-example pattern.
    """

    letters_TL: Scores
    none_T: Scores
    names_TL: Scores
    examples_TL: Scores
    patterns_TL: NDArray[np.bool_]


_ABC = r"(?:a|ay|hey) (?:b|be|bee) (?:c|cee|see|sea)(?: s|'s)?(?! (?:d|dee)\b)"
_SONG = rf"(?:{_ABC}|abcs?|abc's|alphabet|letters|letter sounds|phonics)"
_CHORUS = re.compile(
    rf"\b(?:now )?(?:i|we|you)(?: all)? (?:know|learned|can sing|can say|sang|love)(?: all)?(?: my| our| your| the| all)* {_SONG}\b"
    rf"|\b(?:sing|singing|learn|learning|say|saying|know|recite|practice|repeat|teach|love)(?: all| along)*(?: my| our| your| the| with| me| of)* {_SONG}(?: song)?\b"
    rf"|\b(?:my|our|your|the) {_SONG}\b|\b{_SONG} (?:song|time|fun|train|rap|dance)\b"
    r"|\bnext time (?:won't|wont|would|will|let's) (?:you|we)?(?: sing| come| play)?(?: along)?(?: with)?(?: me| us)?\b"
    rf"|\b(?:easy|simple) as (?:{_ABC}|abc|1 2 3)\b"
    r"|\b(?:won't you |come and |come on |let's )?(?:sing|learn|play|clap|dance)(?: along)? with (?:me|us)\b"
    r"|\b(?:are you ready|here we go|let's (?:go|sing|learn|start|begin)|see you (?:next time|soon|later)|good ?bye|bye bye|thank you for \w+|thanks for \w+|please subscribe|don't forget to \w+|great job|good job|well done|that was (?:so |very )?(?:fun|great|good|easy|amazing))\b"
)


def in_chorus(found: Sequence[Token]) -> NDArray[np.bool_]:
    """(tokens,) True for words of phrases that belong to no letter: choruses, greetings, farewells."""
    marked = np.zeros(len(found), np.bool_)
    text = ""
    starts: list[int] = []
    for token in found:
        starts.append(len(text))
        text += token.text + " "
    for match in _CHORUS.finditer(text):
        for index, start in enumerate(starts):
            if match.start() <= start < match.end():
                marked[index] = True
    return marked


def weigh(found: Sequence[Token], weights: EvidenceWeights) -> Evidence:
    """The evidence of `found` (in time order)."""
    count = len(found)
    names, sounds, examples = (np.zeros((count, 26)) for _ in range(3))
    for row, token in enumerate(found):
        for table, letters in ((names, name_of(token)), (sounds, sound_of(token)), (examples, example_of(token))):
            for letter, value in letters.items():
                table[row, LETTERS.index(letter)] = value
    _two_word_names(found, names)
    chorus = in_chorus(found)
    for table in (names, sounds, examples):
        table[chorus] = 0
    patterns = _patterns(found, names, sounds, examples)
    near = _name_nearby(found, np.maximum(np.maximum(names, sounds), patterns), weights.reach_seconds)
    letters = weights.name * _with_confusable(names, weights.confusable)
    letters = np.maximum(letters, weights.sound * sounds)
    letters = np.maximum(letters, examples * np.where(near, weights.example, weights.lone_example))
    letters += weights.pattern * patterns
    says_nothing = letters.max(axis=1, initial=0) == 0
    greets = np.array([token.text in GREETINGS for token in found], np.bool_)
    none = np.where(says_nothing, weights.filler, 0.0)
    none = np.where(chorus, weights.chorus, np.where(greets, weights.greeting, none))
    return Evidence(letters, none, np.maximum(names, sounds), examples, patterns)


def _two_word_names(found: Sequence[Token], names: Scores) -> None:
    for row in range(len(found) - 1):
        if found[row].text in ("double", "dubble") and found[row + 1].text in ("u", "you", "yew"):
            names[row : row + 2] = 0
            names[row : row + 2, LETTERS.index("W")] = (1.0, 0.7)


def _with_confusable(names: Scores, share: float) -> Scores:
    spread = np.zeros((26, 26))
    for row, letter in enumerate(LETTERS):
        for other in confusable(letter):
            spread[row, LETTERS.index(other)] = share
    return np.maximum(names, np.where(names >= 0.3, names, 0.0) @ spread)


def _patterns(found: Sequence[Token], names: Scores, sounds: Scores, examples: Scores) -> NDArray[np.bool_]:
    """Marks names and examples that stand together as in "B is for ball", "B, b, ball" or "B says buh"."""
    marked = np.zeros(names.shape, np.bool_)
    for row in range(len(found)):
        for letter in np.flatnonzero(names[row] >= 0.3).tolist():
            members = _pattern_from(row, letter, found, names, sounds, examples)
            marked[members, letter] = True
            if not members and names[row, letter] >= 0.65:
                # "N is for moon": a name that was heard for a similar one, told by the example.
                for other in map(LETTERS.index, confusable(LETTERS[letter])):
                    members = _pattern_from(row, other, found, names, sounds, examples >= 0.9)
                    marked[members, other] = True
    return marked


def _pattern_from(
    row: int, letter: int, found: Sequence[Token], names: Scores, sounds: Scores, examples: Scores | NDArray[np.bool_]
) -> list[int]:
    """The tokens of the pattern that begins with the name at `row`; empty when none does."""
    # "a" and "I" are too common for a neighbour alone: "a apple" needs its "is for" or a second "a". So does a name that
    # is only similar to the letter's.
    sure = names[row, letter] > 0.6
    members = [row]
    whole = False
    for other in range(row + 1, min(row + 7, len(found))):
        if examples[other, letter] >= 0.3:
            return [*members, other] if sure else []
        if sounds[other, letter] >= 0.5 or names[other, letter] >= 0.3:
            whole = whole or sounds[other, letter] >= 0.5
            sure = True
            members.append(other)
        elif found[other].text not in FILLERS:
            break
        else:
            sure = sure or found[other].text not in ("a", "an", "the")
    return members if whole else []


def _name_nearby(found: Sequence[Token], names: Scores, reach_seconds: float) -> NDArray[np.bool_]:
    near = np.zeros(names.shape, np.bool_)
    starts = np.array([token.start_seconds for token in found])
    for row, letter in np.argwhere(names >= 0.3).tolist():
        near[np.abs(starts - starts[row]) <= reach_seconds, letter] = True
    return near


def alphabet_pairs(found: Sequence[Token], evidence: Evidence, within_seconds: float = 12.0) -> int:
    """How many distinct pairs (letter, next letter of the alphabet) are named within `within_seconds`, in this order.

    Alphabet songs have 18 to 25; talk, nonsense and other songs 0.
    """
    times = [
        [found[row].start_seconds for row in np.flatnonzero(evidence.names_TL[:, letter] >= 0.5).tolist()]
        for letter in range(26)
    ]
    return sum(
        any(0 < after - before <= within_seconds for before in times[letter] for after in times[letter + 1])
        for letter in range(25)
    )


def named_letters(evidence: Evidence) -> int:
    """How many letters are named by words that are hardly anything else; "a" and "I" do not count."""
    return int((evidence.names_TL >= 0.65).any(axis=0).sum())


def pattern_letters(evidence: Evidence) -> int:
    """How many letters stand at least once with their example: what shuffled and partial songs are known by."""
    whole = evidence.patterns_TL.any(axis=0) & (evidence.examples_TL * evidence.patterns_TL >= 0.9).any(axis=0)
    return int(whole.sum())
