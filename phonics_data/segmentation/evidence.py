"""Words -> evidence of each word for each letter and for no letter."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phonics_data.segmentation.lexicon import (
    FILLERS,
    GREETINGS,
    LETTERS,
    Token,
    confusable,
    example_of,
    is_like_for,
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
_NAMED, CLEARLY_NAMED = 0.3, 0.65
"""Value from which a token names its letter; the same for names that are no common words."""
_FIRST_LETTER = 0.3
"""Value of an example word that only its first letter indicates."""
_LINKED = 0.8
"""As `_PATTERN`, for "... is for ball" without the name."""
_CONTRADICTED = 0.3
"""Fraction of the weight of a name that its example contradicts: "M is for octopus"."""
_ARTICLE = 0.3
"""The same for "a" and "I" where they can be an article or a pronoun."""
_SIMILAR_FIRST = 0.5
"""Fraction of a name's weight for letters with similar names, for the first word of a letter."""
_REPEATED = 0.5
"""Fraction of a name's weight for the later words of its letter."""
_OTHER_NAME = 0.35
"""Subtracted from a letter for the name of another one among its later words."""
_MIN_CAPITALS = 5
"""Upper-case letters of a transcript that writes names in upper case."""
_LETTER_SOUND = 0.7
"""Probability that a lower-case letter is the sound of this letter, in such a transcript."""
_MIN_CONFIDENCE, _DOUBTFUL = 0.03, 0.25
"""Names with a lower confidence of the recognizer have this fraction of their weight."""
_MAX_FOR_SECONDS = 1.5
"""Between the words of "B is for ball"."""
_PAUSE_AFTER_SECONDS = 0.6
"""From "a" or "I" to the next word, if it is a letter's name."""


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
        similar_TL: (tokens, 26) True for names of other letters that rhyme with the letter's.
        linked_TL: (tokens, 26) True for tokens of "... is for ball" whose name was not recognized or is another letter's.
        first_TL: (tokens, 26) weights for the first word of a letter.
        later_TL: (tokens, 26) weights for its later words; below 0 for names of other letters.
    """

    letters_TL: Scores
    none_T: Scores
    names_TL: Scores
    examples_TL: Scores
    patterns_TL: NDArray[np.bool_]
    similar_TL: NDArray[np.bool_]
    linked_TL: NDArray[np.bool_]
    first_TL: Scores
    later_TL: Scores

    def restricted_to(self, letters: str) -> Evidence:
        """The evidence without that for letters other than `letters`."""
        is_allowed_L = np.array([letter in letters for letter in LETTERS])
        return Evidence(
            self.letters_TL * is_allowed_L,
            self.none_T,
            self.names_TL * is_allowed_L,
            self.examples_TL * is_allowed_L,
            self.patterns_TL & is_allowed_L,
            self.similar_TL & is_allowed_L,
            self.linked_TL & is_allowed_L,
            self.first_TL * is_allowed_L,
            self.later_TL * is_allowed_L,
        )


_ABC = r"(?:a|ay|hey) (?:b|be|bee) (?:c|cee|see|sea)(?: s|'s)?(?! (?:d|dee|e|ee|f|ef|g|gee)\b)"
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
    _move_lower_case(found, names, sounds)
    _weaken_doubtful(found, names)
    is_chorus = chorus_mask(found)
    for table in (names, sounds, examples):
        table[is_chorus] = 0
    _weaken_articles(found, names, examples)
    linked, contradicting = _linked(found, names, examples)
    patterns = _patterns(found, names, sounds, examples)
    has_name = _name_nearby(found, np.maximum(np.maximum(names, sounds), patterns | linked))
    others = np.maximum(_SOUND * sounds, examples * np.where(has_name, _EXAMPLE, weights.lone_example))
    bonus = _PATTERN * patterns + _LINKED * (linked & ~patterns)
    letters = np.maximum(_NAME * _with_confusable(names, weights.confusable), others) + bonus
    bonus += _LINKED * (contradicting & ~patterns)
    is_clear = names >= CLEARLY_NAMED
    is_other = is_clear.any(axis=1, keepdims=True) & ~is_clear & (others + bonus == 0)
    first = np.maximum(_NAME * _with_confusable(names, _SIMILAR_FIRST), others) + bonus
    later = np.maximum(_NAME * _REPEATED * names, others) + bonus - _OTHER_NAME * is_other
    is_greeting = np.array([token.text in GREETINGS for token in found], np.bool_)
    none = np.where(letters.max(axis=1, initial=0) == 0, _FILLER, 0.0)
    none = np.where(is_chorus, _CHORUS, np.where(is_greeting, _GREETING, none))
    similar = (_with_confusable(np.where(is_clear, names, 0.0), 1.0) > 0) & (names < _NAMED)
    return Evidence(
        letters_TL=letters,
        none_T=none,
        names_TL=np.maximum(names, sounds),
        examples_TL=examples,
        patterns_TL=patterns,
        similar_TL=similar,
        linked_TL=linked | contradicting,
        first_TL=first,
        later_TL=later,
    )


# --- articles ------------------------------------------------------------------------------------------------------


def _weaken_articles(found: Sequence[Token], names: Scores, examples: Scores) -> None:
    """Lower the names "a" and "I" where they are an article or a pronoun: nothing else indicates the letter."""
    for row, token in enumerate(found):
        if token.text in ("a", "i") and not token.spelled and not _is_supported(row, found, names, examples):
            names[row] *= _ARTICLE


def _is_supported(row: int, found: Sequence[Token], names: Scores, examples: Scores) -> bool:
    """Whether "a" or "I" is a letter here: by "is for", an example, the neighbours of the alphabet, a repetition or a pause."""
    letter = LETTERS.index(found[row].text.upper())
    following = found[row + 1] if row + 1 < len(found) else None
    is_near = following is not None and following.start_seconds - found[row].end_seconds <= _MAX_DISTANCE_SECONDS
    if following is None or not is_near or found[row].text == following.text:
        return True
    if is_like_for(following.text) or following.text in ("is", "says", "stands", "makes", "goes"):
        # "I says" is the letter, "I was" is not.
        return found[row].text == "a" or following.text != "was"
    if examples[row + 1, letter] >= 0.9:
        return True  # "a apple", where the article would be "an"; "I igloo"
    neighbours = [(row + 1, letter + 1), *((row - one, letter - 1) for one in (1, 2) if row >= one and letter)]
    if any(names[other, name] >= _NAMED for other, name in neighbours):
        return True
    before = found[row - 1] if row else None
    if before is not None and before.text == found[row].text:
        return True
    if len(following.text) == 1 and following.text not in "ai4":
        return True  # one of a run of letters in any order
    # An article and a pronoun are followed by their sentence at once.
    return following.start_seconds - found[row].start_seconds >= _PAUSE_AFTER_SECONDS


# --- "... is for ball" ---------------------------------------------------------------------------------------------


def _linked(found: Sequence[Token], names: Scores, examples: Scores) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(tokens, 26) masks for "X is for ball" where X is not the name of B: X and the example; examples that contradict X.

    - "see for cat", "he is for egg": X sounds like the name, but is a common word; its weight for other letters is lowered.
    - "is for hat": the name was not recognized.
    - "M is for octopus": X was recognized as another letter, or the example as another word; only the order can tell.
    The word before "is for" is never an example: "jays for juice" is "J is for juice".
    """
    mask, contradicting = np.zeros(names.shape, np.bool_), np.zeros(names.shape, np.bool_)
    for row, token in enumerate(found):
        if not is_like_for(token.text) or row + 1 >= len(found) or token.text in ("fall", "full", "form", "farm"):
            continue
        example = row + 2 if found[row + 1].text in ("the", "a", "an") and row + 2 < len(found) else row + 1
        if found[example].start_seconds - token.end_seconds > _MAX_FOR_SECONDS:
            continue
        letters = np.flatnonzero(examples[example] >= 0.9).tolist()
        name = row - 2 if row > 1 and found[row - 1].text in ("is", "was", "stands") else row - 1
        if name < 0 or found[row].start_seconds - found[name].end_seconds > _MAX_FOR_SECONDS:
            mask[example, letters] = True
            continue
        is_clear = names[name].max() >= CLEARLY_NAMED
        if is_clear and not letters:
            # "M is for no": the word is not in the lexicon, and its first letter rhymes with the name.
            text, own = found[example].text, LETTERS[int(names[name].argmax())]
            if text[0].upper() in confusable(own) and len(text) > 1 and text not in FILLERS | GREETINGS:
                letter = LETTERS.index(text[0].upper())
                examples[example, letter] = max(examples[example, letter], _FIRST_LETTER)
                mask[name, letter] = mask[example, letter] = True
        elif letters and names[name, letters].max() < _NAMED:
            examples[name] = 0.0
            sounds_like = any(_sounds_like(found[name], names[name], LETTERS[letter]) for letter in letters)
            if sounds_like:
                names[name] *= _CONTRADICTED
                mask[name, letters] = mask[example, letters] = True
            elif names[name].max() == 0:
                mask[example, letters] = True
            elif is_clear:
                contradicting[example, letters] = True
    return mask, contradicting


def _sounds_like(token: Token, names: Scores, letter: str) -> bool:
    """Whether a word can be the letter's name: a name or common word that rhymes, or the name with "is" ("jays", "eyes")."""
    rhyming = [LETTERS.index(other) for other in (letter, *confusable(letter))]
    if names[rhyming].max() > 0:
        return True
    short = replace(token, text=token.text.removesuffix("'s").removesuffix("s"))
    return letter in name_of(short) or letter in name_of(replace(token, text=token.text.removesuffix("es")))


# --- names and patterns --------------------------------------------------------------------------------------------


def _set_double_u(found: Sequence[Token], names: Scores) -> None:
    for row in range(len(found) - 1):
        if found[row].text in ("double", "dubble") and found[row + 1].text in ("u", "you", "yew"):
            names[row : row + 2] = 0
            names[row : row + 2, LETTERS.index("W")] = (1.0, 0.7)


def _move_lower_case(found: Sequence[Token], names: Scores, sounds: Scores) -> None:
    """Single lower-case letters are sounds if the transcript writes names in upper case: "D is for dog, d, d, dog".

    Before "is for" they are names.
    """
    singles = [row for row, token in enumerate(found) if len(token.text) == 1 and token.text not in ("a", "i", "4")]
    lower = [row for row in singles if not found[row].capital]
    if len(singles) - len(lower) < max(_MIN_CAPITALS, 3 * len(lower)):
        return
    for row in lower:
        if row + 1 < len(found) and (found[row + 1].text == "is" or is_like_for(found[row + 1].text)):
            continue
        sounds[row] = np.maximum(sounds[row], _LETTER_SOUND * names[row])
        names[row] = 0.0
        if found[row].text == "k":
            sounds[row, LETTERS.index("C")] = _LETTER_SOUND


def _weaken_doubtful(found: Sequence[Token], names: Scores) -> None:
    """Lower the names that the recognizer considers almost impossible; it outputs them in music before the first letter."""
    for row, token in enumerate(found):
        if token.confidence is not None and token.confidence < _MIN_CONFIDENCE:
            names[row] *= _DOUBTFUL


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
            if not members and names[row, letter] >= CLEARLY_NAMED:
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
    return len(clearly_named(evidence))


def clearly_named(evidence: Evidence) -> str:
    """The letters with an unambiguous name, in the order of the alphabet."""
    return "".join(LETTERS[index] for index in np.flatnonzero((evidence.names_TL >= CLEARLY_NAMED).any(axis=0)))


def count_pattern_letters(evidence: Evidence) -> int:
    """Number of letters with at least one name-and-example pattern; detects shuffled and partial songs."""
    has_example = (evidence.examples_TL * evidence.patterns_TL >= 0.9).any(axis=0)
    return int((evidence.patterns_TL.any(axis=0) & has_example).sum())
