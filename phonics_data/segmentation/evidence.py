"""Words -> evidence of each word for each letter and for no letter."""

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

_NAME, _SOUND, _EXAMPLE = 1.2, 0.7, 1.2
_PATTERN = 1.0
"""For the name and the example in "B is for ball", "B, b, ball", "B says buh"."""
_CHORUS, _GREETING, _FILLER = 0.6, 0.15, 0.02
"""For no letter: words of "now I know my ABC"; words of greetings, farewells and adverts; words without evidence."""
_MAX_DISTANCE_SECONDS = 5.0
"""Between a letter's name and its example."""
_NAMED = 0.3
"""Value from which a token names its letter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceWeights:
    """The fitted weights of evidence; all weights have the unit of `TransitionCosts`.

    Args:
        lone_example: an example word without its letter's name nearby: "ball" has less weight than in "B ... ball".
        confusable: fraction of a name's weight for letters with similar names.
    """

    lone_example: float = 0.5
    confusable: float = 0.2


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence of the tokens. Axes: T tokens, L letters.

    Args:
        letters_TL: (tokens, 26) weights >= 0 for each letter.
        none_T: (tokens,) weights >= 0 for no letter.
        names_TL: (tokens, 26) 0..1, probability that the token is the letter's name or sound.
        examples_TL: (tokens, 26) 0..1, probability that the token is an example word.
        patterns_TL: (tokens, 26) True for tokens of a name-and-example pattern.
    """

    letters_TL: Scores
    none_T: Scores
    names_TL: Scores
    examples_TL: Scores
    patterns_TL: NDArray[np.bool_]

    def restricted_to(self, letters: str) -> Evidence:
        """The evidence without that for letters other than `letters`."""
        is_allowed_L = np.array([letter in letters for letter in LETTERS])
        return Evidence(
            self.letters_TL * is_allowed_L,
            self.none_T,
            self.names_TL * is_allowed_L,
            self.examples_TL * is_allowed_L,
            self.patterns_TL & is_allowed_L,
        )


_ABC = r"(?:a|ay|hey) (?:b|be|bee) (?:c|cee|see|sea)(?: s|'s)?(?! (?:d|dee)\b)"
_SONG = rf"(?:{_ABC}|abcs?|abc's|alphabet|letters|letter sounds|phonics)"
_CHORUS_PATTERN = re.compile(
    rf"\b(?:now )?(?:i|we|you)(?: all)? (?:know|learned|can sing|can say|sang|love)(?: all)?(?: my| our| your| the| all)* {_SONG}\b"
    rf"|\b(?:sing|singing|learn|learning|say|saying|know|recite|practice|repeat|teach|love)(?: all| along)*(?: my| our| your| the| with| me| of)* {_SONG}(?: song)?\b"
    rf"|\b(?:my|our|your|the) {_SONG}\b|\b{_SONG} (?:song|time|fun|train|rap|dance)\b"
    r"|\bnext time (?:won't|wont|would|will|let's) (?:you|we)?(?: sing| come| play)?(?: along)?(?: with)?(?: me| us)?\b"
    rf"|\b(?:easy|simple) as (?:{_ABC}|abc|1 2 3)\b"
    r"|\b(?:won't you |come and |come on |let's )?(?:sing|learn|play|clap|dance)(?: along)? with (?:me|us)\b"
    r"|\b(?:are you ready|here we go|let's (?:go|sing|learn|start|begin)|see you (?:next time|soon|later)|good ?bye|bye bye|thank you for \w+|thanks for \w+|please subscribe|don't forget to \w+|great job|good job|well done|that was (?:so |very )?(?:fun|great|good|easy|amazing))\b"
)


def chorus_mask(found: Sequence[Token]) -> NDArray[np.bool_]:
    """(tokens,) True for words of phrases that belong to no letter: choruses, greetings, farewells."""
    text = ""
    starts: list[int] = []
    for token in found:
        starts.append(len(text))
        text += token.text + " "
    starts_T = np.array(starts, np.int64)
    mask_T = np.zeros(len(found), np.bool_)
    for match in _CHORUS_PATTERN.finditer(text):
        mask_T |= (match.start() <= starts_T) & (starts_T < match.end())
    return mask_T


def word_evidence(found: Sequence[Token], weights: EvidenceWeights) -> Evidence:
    """The evidence of `found` (in time order)."""
    names, sounds, examples = (np.zeros((len(found), 26)) for _ in range(3))
    for row, token in enumerate(found):
        for table, letters in ((names, name_of(token)), (sounds, sound_of(token)), (examples, example_of(token))):
            for letter, value in letters.items():
                table[row, LETTERS.index(letter)] = value
    _set_double_u(found, names)
    is_chorus = chorus_mask(found)
    for table in (names, sounds, examples):
        table[is_chorus] = 0
    patterns = _patterns(found, names, sounds, examples)
    has_name = _name_nearby(found, np.maximum(np.maximum(names, sounds), patterns))
    letters = _NAME * _with_confusable(names, weights.confusable)
    letters = np.maximum(letters, _SOUND * sounds)
    letters = np.maximum(letters, examples * np.where(has_name, _EXAMPLE, weights.lone_example))
    letters += _PATTERN * patterns
    is_greeting = np.array([token.text in GREETINGS for token in found], np.bool_)
    none = np.where(letters.max(axis=1, initial=0) == 0, _FILLER, 0.0)
    none = np.where(is_chorus, _CHORUS, np.where(is_greeting, _GREETING, none))
    return Evidence(letters, none, np.maximum(names, sounds), examples, patterns)


def _set_double_u(found: Sequence[Token], names: Scores) -> None:
    for row in range(len(found) - 1):
        if found[row].text in ("double", "dubble") and found[row + 1].text in ("u", "you", "yew"):
            names[row : row + 2] = 0
            names[row : row + 2, LETTERS.index("W")] = (1.0, 0.7)


def _with_confusable(names: Scores, fraction: float) -> Scores:
    spread = np.zeros((26, 26))
    for row, letter in enumerate(LETTERS):
        for other in confusable(letter):
            spread[row, LETTERS.index(other)] = fraction
    return np.maximum(names, np.where(names >= _NAMED, names, 0.0) @ spread)


def _patterns(found: Sequence[Token], names: Scores, sounds: Scores, examples: Scores) -> NDArray[np.bool_]:
    """(tokens, 26) True for names and examples in patterns such as "B is for ball", "B, b, ball" or "B says buh"."""
    mask = np.zeros(names.shape, np.bool_)
    for row in range(len(found)):
        for letter in np.flatnonzero(names[row] >= _NAMED).tolist():
            members = _pattern_from(row, letter, found, names, sounds, examples)
            mask[members, letter] = True
            if not members and names[row, letter] >= 0.65:
                # "N is for moon": the example shows that a similar name was recognized.
                for other in map(LETTERS.index, confusable(LETTERS[letter])):
                    members = _pattern_from(row, other, found, names, sounds, examples >= 0.9)
                    mask[members, other] = True
    return mask


def _pattern_from(
    row: int, letter: int, found: Sequence[Token], names: Scores, sounds: Scores, examples: Scores | NDArray[np.bool_]
) -> list[int]:
    """The tokens of the pattern that begins with the name at `row`; empty if there is none."""
    # "a", "I" and names that are only similar need more than an example as neighbour: "a apple" needs "is for" or a second "a".
    is_certain = names[row, letter] > 0.6
    members = [row]
    has_sound = False
    for other in range(row + 1, min(row + 7, len(found))):
        if examples[other, letter] >= 0.3:
            return [*members, other] if is_certain else []
        if sounds[other, letter] >= 0.5 or names[other, letter] >= _NAMED:
            has_sound = has_sound or sounds[other, letter] >= 0.5
            is_certain = True
            members.append(other)
        elif found[other].text not in FILLERS:
            break
        else:
            is_certain = is_certain or found[other].text not in ("a", "an", "the")
    return members if has_sound else []


def _name_nearby(found: Sequence[Token], names: Scores) -> NDArray[np.bool_]:
    near = np.zeros(names.shape, np.bool_)
    starts = np.array([token.start_seconds for token in found])
    for row, letter in np.argwhere(names >= _NAMED).tolist():
        near[np.abs(starts - starts[row]) <= _MAX_DISTANCE_SECONDS, letter] = True
    return near


def count_alphabet_pairs(found: Sequence[Token], evidence: Evidence, within_seconds: float = 12.0) -> int:
    """Number of letters that are followed by the name of the next letter of the alphabet within `within_seconds`.

    18 to 25 for alphabet songs; 0 for speech, nonsense and other songs.
    """
    times = [
        [found[row].start_seconds for row in np.flatnonzero(evidence.names_TL[:, letter] >= 0.5).tolist()]
        for letter in range(26)
    ]
    return sum(
        any(0 < after - before <= within_seconds for before in times[letter] for after in times[letter + 1])
        for letter in range(25)
    )


def count_named_letters(evidence: Evidence) -> int:
    """Number of letters with an unambiguous name; "a" and "I" do not count."""
    return int((evidence.names_TL >= 0.65).any(axis=0).sum())


def count_pattern_letters(evidence: Evidence) -> int:
    """Number of letters with at least one name-and-example pattern; detects shuffled and partial songs."""
    has_example = (evidence.examples_TL * evidence.patterns_TL >= 0.9).any(axis=0)
    return int((evidence.patterns_TL.any(axis=0) & has_example).sum())
