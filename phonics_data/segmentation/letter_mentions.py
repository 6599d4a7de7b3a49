"""Mentions of one known letter in a transcript: its name, its sound, its example words. Pure.

For videos whose manifest row names one letter. The letter is known, so the matching is tolerant: a recognizer that outputs
"Before bat" in a video of B has recognized "B for bat". `word_decoder` decides which letters a transcript contains;
this module only finds where a transcript mentions a letter that is known from elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from phonics_data.segmentation.evidence import CLEARLY_NAMED, chorus_mask
from phonics_data.segmentation.lexicon import (
    FILLERS,
    GREETINGS,
    Token,
    confusable,
    example_of,
    is_like_for,
    name_of,
    sound_of,
    tokens,
)
from phonics_data.types import Word

MentionKind = Literal["name", "sound", "example", "pattern"]

_MAX_WITHIN_SECONDS = 2.5
"""From one word of a pattern to the next one."""
_MAX_BACK = 5
"""Words before an example that can belong to its pattern."""
_MIN_PAUSE_SECONDS = 0.3
"""Around "a" and "I" that stand alone; an article and a pronoun are followed by their sentence at once."""
_MAX_NAME_GAP_SECONDS = 1.0
"""From an unrecognized name to "is for"."""
_MIN_OBJECT_CONFIDENCE = 0.45
"""Of a recognized word outside the lexicon that is used as an object word."""

_NAME, _SPELLED, _HOMOPHONE, _SIMILAR, _FRAGMENT, _RARE = 1.0, 0.9, 0.7, 0.5, 0.4, 0.3
"""How much a word is the letter's name: the letter; "bee"; "see"; the name of a rhyming letter; "jeep" for G; "he" for E."""
_EXAMPLE, _FIRST_LETTER, _SOUND, _REPEATED, _ARTICLE, _INTERJECTION = 0.5, 0.2, 0.5, 0.25, 0.1, 0.1
_INTERJECTIONS = frozenset("oh ooh ah ahh aah uh huh hah ha eh er ow aw".split())
"""Sounds of letters that talk, laughter and music contain as well."""
_LINK_BONUS = 0.2
"""For "is for" between a name and an example."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """One place of a transcript that mentions the letter.

    Args:
        kind: ``pattern`` for a name or "for" with an example ("B is for bat", "for bat") or a name with a sound;
            ``name``, ``example`` and ``sound`` for one that stands alone.
        object_word: the example word, lower case; None for names and sounds, and for a pattern whose example is uncertain.
        strength: 0..1; 1 for the letter's own name with an example of the lexicon. Not a probability.
        support: the words of the transcript that the mention consists of.
    """

    start_seconds: float
    end_seconds: float
    kind: MentionKind
    object_word: str | None
    strength: float
    support: tuple[str, ...]


def letter_mentions(words: Sequence[Word], letter: str) -> list[Mention]:
    """The mentions of `letter` in a transcript, in time order, without overlaps.

    Args:
        words: in time order.
        letter: upper case.
    """
    found = tokens(words)
    is_chorus = chorus_mask(found).tolist()
    used = [False] * len(found)
    mentions: list[Mention] = []
    for row in range(len(found)):
        if not is_chorus[row] and (members := _pattern_before(row, found, letter, used)):
            mentions.append(_pattern(members, found, letter, words))
            for member in range(members[0], members[-1] + 1):
                used[member] = True
    for row in range(len(found)):
        # "watch" is a greeting ("thanks for watching"), except in "W is for watch".
        is_usable = not is_chorus[row] and not used[row] and found[row].text not in GREETINGS
        if is_usable and (mention := _lone(row, found, letter)) is not None:
            mentions.append(mention)
    return sorted(mentions, key=lambda mention: mention.start_seconds)


# --- patterns ------------------------------------------------------------------------------------------------------


def _example_value(row: int, found: Sequence[Token], letter: str) -> float:
    """0..1; "for" and words like it are no examples before an example ("I fall fish"), decoder loops never ("A4A4A4")."""
    if not found[row].text.removesuffix("'s").replace("-", "").isalpha():
        return 0.0
    value = example_of(found[row]).get(letter, 0.0)
    if value and is_like_for(found[row].text) and row + 1 < len(found) and _is_near(found[row], found[row + 1]):
        return value if example_of(found[row + 1]).get(letter, 0.0) < value else 0.0
    return value


def _pattern_before(row: int, found: Sequence[Token], letter: str, used: Sequence[bool]) -> list[int]:
    """The tokens of the pattern whose last one is at `row`: [name], [link], example; or a name with "for" alone."""
    has_example = _example_value(row, found, letter) >= 0.3
    if not has_example:
        return _name_with_for(row, found, letter, used)
    members = [row]
    has_link = has_name = False
    for other in range(row - 1, max(row - 1 - _MAX_BACK, -1), -1):
        token = found[other]
        if used[other] or not _is_near(token, found[members[0]]):
            break
        likeness = name_likeness(token, letter)
        is_link = is_like_for(token.text) or _is_faint_for(other, found, letter)
        if likeness >= (_RARE if has_link else _HOMOPHONE) and not (is_link and not has_link):
            members.insert(0, other)
            has_name = True
        elif has_name:
            break
        elif is_link or token.text in FILLERS:
            members.insert(0, other)
            has_link = has_link or is_link
        elif sound_of(token).get(letter, 0.0) >= 0.5:
            members.insert(0, other)
        else:
            break
    if has_name and not has_link and _is_plain_word(members[0], found):
        return []  # "a ant", "I imagine"
    while members[0] != row and not _begins_pattern(members[0], found, letter, has_name=has_name):
        members.pop(0)
    if has_link and not has_name and _is_unknown_name(members[0] - 1, members[0], found, used):
        members.insert(0, members[0] - 1)
    return members if has_name or has_link else []


def _is_faint_for(row: int, found: Sequence[Token], letter: str) -> bool:
    """ "F all frog": words that are "for" without its consonant count only directly after the letter's own name."""
    return found[row].text in ("all", "or", "our") and row > 0 and name_likeness(found[row - 1], letter) >= _SPELLED


def _is_unknown_name(row: int, following: int, found: Sequence[Token], used: Sequence[bool]) -> bool:
    """Whether the word before "is for" can be the name, recognized as another word: nothing but a pause is before it."""
    if row < 0 or used[row] or found[following].start_seconds - found[row].end_seconds > _MAX_NAME_GAP_SECONDS:
        return False
    before = found[row - 1] if row else None
    return before is None or used[row - 1] or found[row].start_seconds - before.end_seconds >= _MIN_PAUSE_SECONDS


def _begins_pattern(row: int, found: Sequence[Token], letter: str, *, has_name: bool) -> bool:
    """Whether a pattern begins here: at its name if it has one, else at "is for", not at "and" or "the"."""
    if has_name:
        return name_likeness(found[row], letter) >= _RARE
    following = found[row + 1] if row + 1 < len(found) else None
    is_before_for = following is not None and found[row].text in ("is", "was") and is_like_for(following.text)
    return is_like_for(found[row].text) or is_before_for


def _name_with_for(row: int, found: Sequence[Token], letter: str, used: Sequence[bool]) -> list[int]:
    """[name, "for"] whose example was not recognized, or was recognized as another word: "H4 and"."""
    if not is_like_for(found[row].text) or row == 0:
        return []
    name = row - 2 if row > 1 and found[row - 1].text == "is" else row - 1
    if used[name] or not _is_near(found[name], found[row]) or name_likeness(found[name], letter) < _SPELLED:
        return []
    ahead = range(row + 1, min(row + 3, len(found)))
    if any(_example_value(other, found, letter) >= 0.3 and _is_near(found[row], found[other]) for other in ahead):
        return []  # the example follows and takes both into its pattern
    return list(range(name, row + 1))


def _pattern(members: Sequence[int], found: Sequence[Token], letter: str, words: Sequence[Word]) -> Mention:
    own = [found[row] for row in members]
    likeness = max(name_likeness(token, letter) for token in own[:-1])
    has_link = any(is_like_for(found[row].text) or _is_faint_for(row, found, letter) for row in members[:-1])
    value = _example_value(members[-1], found, letter)
    strength = likeness * 0.6 + (0.4 if value >= 0.9 else 0.15 if value else 0.0)
    strength = min(strength + _LINK_BONUS * has_link, 1.0) if value else 0.7 * likeness
    confidence = words[own[-1].word_index].confidence
    is_shown = likeness >= _SPELLED or (has_link and likeness > 0)
    is_certain = is_shown and (confidence is None or confidence >= _MIN_OBJECT_CONFIDENCE)
    is_object = value >= 0.9 or (value > 0 and is_certain)
    return Mention(
        start_seconds=own[0].start_seconds,
        end_seconds=own[-1].end_seconds,
        kind="pattern",
        object_word=own[-1].text.removesuffix("'s") if is_object else None,
        strength=round(strength, 3),
        support=tuple(token.text for token in own),
    )


def _is_near(before: Token, after: Token) -> bool:
    return after.start_seconds - before.end_seconds <= _MAX_WITHIN_SECONDS


# --- words that stand alone ----------------------------------------------------------------------------------------


def _lone(row: int, found: Sequence[Token], letter: str) -> Mention | None:
    """A name, sound or example outside every pattern."""
    token = found[row]
    kind: MentionKind = "name"
    strength, object_word = 0.0, None
    likeness = name_likeness(token, letter)
    if likeness >= _SPELLED:
        strength = 0.6 * likeness if not _is_plain_word(row, found) else _ARTICLE
    elif _example_value(row, found, letter) >= 0.9:
        kind, strength, object_word = "example", _EXAMPLE, token.text.removesuffix("'s")
    elif sound_of(token).get(letter, 0.0) >= 0.5:
        kind, strength = "sound", _INTERJECTION if token.text in _INTERJECTIONS else _SOUND
    elif _is_repeated_syllable(row, found, letter):
        kind, strength = "sound", _REPEATED
    elif _example_value(row, found, letter) > 0 and token.text not in FILLERS:
        kind, strength = "example", _FIRST_LETTER
    if not strength:
        return None
    return Mention(
        start_seconds=token.start_seconds,
        end_seconds=token.end_seconds,
        kind=kind,
        object_word=object_word,
        strength=round(strength, 3),
        support=(token.text,),
    )


def _is_plain_word(row: int, found: Sequence[Token]) -> bool:
    """Whether "a" is an article or "I" a pronoun here: another word follows at once that is no letter name."""
    token = found[row]
    if token.text not in ("a", "i") or token.spelled:
        return False
    if row + 1 == len(found) or found[row + 1].text == token.text or (row and found[row - 1].text == token.text):
        return False
    return found[row + 1].start_seconds - token.end_seconds < _MIN_PAUSE_SECONDS


def _is_repeated_syllable(row: int, found: Sequence[Token], letter: str) -> bool:
    """Short equal words that begin with the letter: recognizers output "ba ba" for "b, b"."""
    text = found[row].text
    if not text.startswith(letter.lower()) or not 2 <= len(text) <= 4:
        return False
    near = [other for other in (row - 1, row + 1) if 0 <= other < len(found)]
    return any(found[other].text == text for other in near)


# --- names ---------------------------------------------------------------------------------------------------------

_SPELLINGS = {
    "B": "be bee", "C": "see cee sea ci say", "D": "dee de", "E": "ee", "F": "ef", "G": "jee gee gie ge gy chee", "H": "aitch each",
    "J": "jay jai", "K": "kay cay", "L": "el", "M": "em", "N": "en", "P": "pee pea pe", "Q": "kew cue kyu", "R": "ar",
    "S": "ess es", "T": "tee tea te", "U": "you yu", "V": "vee ve", "X": "ex", "Y": "why wy", "Z": "zee ze",
}  # fmt: skip
"""Spellings of the names inside other words: "jeep for grass" for "G for grass"."""


def name_likeness(token: Token, letter: str) -> float:
    """How much a word is the letter's name, 0..1, for a letter that is known from elsewhere."""
    names = name_of(token)
    own = names.get(letter, 0.0)
    if own >= CLEARLY_NAMED or (own and token.text == letter.lower()):
        return _NAME if token.text == letter.lower() else _SPELLED
    if own >= 0.3:
        return _HOMOPHONE
    if any(names.get(other, 0.0) >= 0.6 for other in confusable(letter)):
        return _SIMILAR
    if own:
        return _RARE + 0.1
    if any(names.get(other, 0.0) > 0 for other in confusable(letter)):
        return _FRAGMENT
    short = [replace(token, text=token.text.removesuffix(end)) for end in ("'s", "s", "es") if token.text.endswith(end)]
    if any(name_of(one).get(letter, 0.0) >= 0.3 for one in short):
        return _SIMILAR  # "eyes for igloo" for "I is for igloo"
    spellings = _SPELLINGS.get(letter, "").split()
    is_inside = any(token.text.startswith(one) or token.text.endswith(one) for one in spellings)
    return _FRAGMENT if token.text in spellings or (is_inside and token.text not in FILLERS) else 0.0
