"""Generated transcripts of alphabet songs: true segments, and words as a recognizer outputs them."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Sequence

from phonics_data.types import TrueSegment, Word

EXAMPLES = dict(
    zip(
        string.ascii_uppercase,
        "apple ball cat dog egg fish goat hat igloo jam kite lion moon nest orange pig queen rabbit sun tiger umbrella "
        "van water xylophone yellow zebra".split(),
        strict=True,
    )
)

INTRO = "hello children are you ready to sing"
CHORUS = "now I know my A B C next time won't you sing with me"
OUTRO = "great job see you next time bye bye"


def is_for(letter: str) -> str:
    return f"{letter} is for {EXAMPLES[letter]}"


def doubled(letter: str) -> str:
    return f"{letter} {letter} {EXAMPLES[letter]}"


def name_only(letter: str) -> str:
    return letter


def song(
    letters: Iterable[str] = string.ascii_uppercase,
    phrase: Callable[[str], str] = is_for,
    *,
    before: Sequence[str] = (),
    after: Sequence[str] = (),
    beat: float = 0.5,
    rest: float = 0.5,
) -> tuple[list[Word], list[TrueSegment]]:
    """Words on a beat, and true segments that last until the next one begins.

    Args:
        before, after: lines that belong to no letter.
        beat: seconds between the starts of words.
        rest: seconds between lines.
    """
    words: list[Word] = []
    truth: list[TrueSegment] = []
    here = 1.0
    lines = (
        [("", line) for line in before]
        + [(letter, phrase(letter)) for letter in letters]
        + [("", line) for line in after]
    )
    for letter, line in lines:
        start = here
        own: list[Word] = []
        for text in line.split():
            own.append(Word(text=text, start_seconds=round(here, 3), end_seconds=round(here + 0.8 * beat, 3)))
            here += beat
        here += rest
        words += own
        if letter:
            example = EXAMPLES[letter] if EXAMPLES[letter] in line else None
            truth.append(
                TrueSegment(
                    video_id="song",
                    letter=letter,
                    object_word=example,
                    start_seconds=start,
                    end_seconds=here,
                    words=tuple(own),
                )
            )
    return words, truth
