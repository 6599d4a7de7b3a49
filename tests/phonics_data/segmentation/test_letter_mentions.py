from __future__ import annotations

import pytest

from phonics_data.segmentation.letter_mentions import letter_mentions
from phonics_data.types import Word


def spoken(text: str, *, step: float = 0.5, confidence: float | None = 0.8) -> list[Word]:
    """The words of `text` every `step` seconds; "_" is a pause of this length."""
    return [
        Word(text=token, start_seconds=step * n, end_seconds=step * n + 0.4, confidence=confidence)
        for n, token in enumerate(text.split())
        if token != "_"
    ]


@pytest.mark.parametrize(
    ("letter", "text", "expected"),
    [
        ("B", "B is for bat _ B is for ball", ["bat", "ball"]),
        ("B", "Before bat, before ball", ["bat", "ball"]),  # "B for"
        ("M", "M4 mouse M4 moon", ["mouse", "moon"]),
        ("P", "B for pig and tea for pen", ["pig", "pen"]),  # names that rhyme
        ("N", "M for nest", ["nest"]),
        ("R", "are for ring", ["ring"]),
        ("Y", "why is for yellow", ["yellow"]),
        ("V", "FarnVan", ["van"]),
        ("G", "jeep for grass", ["grass"]),
        ("S", "S all sun", ["sun"]),
        ("E", "far egg", ["egg"]),
        ("K", "K k kite", ["kite"]),
        ("I", "I for insect", ["insect"]),
        ("W", "W is for watch", ["watch"]),
        ("I", "eyes for igloo", ["igloo"]),  # "I is"
        ("N", "and is for nightingale", ["nightingale"]),  # the name is another word
        ("S", "yes is for sunflare", ["sunflare"]),  # not in the lexicon
    ],
)
def test_patterns_and_their_object_words(letter: str, text: str, expected: list[str]) -> None:
    found = [mention for mention in letter_mentions(spoken(text), letter) if mention.kind == "pattern"]
    assert [mention.object_word for mention in found] == expected
    assert all(mention.strength >= 0.55 for mention in found)


def test_pattern_begins_at_the_name_and_ends_with_the_example() -> None:
    (mention,) = letter_mentions(spoken("and L is for lion"), "L")
    assert (mention.start_seconds, mention.end_seconds) == (0.5, 2.4)
    assert mention.support == ("l", "is", "for", "lion")
    assert mention.strength == 1.0


def test_pattern_begins_at_the_word_that_was_recognized_instead_of_the_name() -> None:
    (mention,) = letter_mentions(spoken("wow _ dent is for nest"), "N")
    assert mention.start_seconds == 1.0
    (mention,) = letter_mentions(spoken("wow look is for nest"), "N")
    assert mention.start_seconds == 1.0  # nothing separates "look" from the words before


def test_names_sounds_and_examples_that_stand_alone() -> None:
    found = letter_mentions(spoken("D _ _ _ _ _ duh _ _ _ _ _ duck"), "D")
    assert [(mention.kind, mention.object_word) for mention in found] == [
        ("name", None),
        ("sound", None),
        ("example", "duck"),
    ]
    assert all(0 < mention.strength < 0.7 for mention in found)


def test_example_of_a_pattern_that_was_recognized_as_another_word_gives_no_object_word() -> None:
    (mention,) = letter_mentions(spoken("H4 and"), "H")
    assert (mention.kind, mention.object_word) == ("pattern", None)


def test_uncertain_word_outside_the_lexicon_is_no_object_word() -> None:
    assert letter_mentions(spoken("D for dalmo", confidence=0.9), "D")[0].object_word == "dalmo"
    assert letter_mentions(spoken("D for dalmo", confidence=0.2), "D")[0].object_word is None


def test_article_and_pronoun_are_weak_names() -> None:
    assert max(mention.strength for mention in letter_mentions(spoken("see a big dog", step=0.4), "A")) <= 0.1
    assert max(mention.strength for mention in letter_mentions(spoken("I can run", step=0.4), "I")) <= 0.1
    assert max(mention.strength for mention in letter_mentions(spoken("A _ _ A _ _ A"), "A")) >= 0.5


@pytest.mark.parametrize("letter", "BCDGMST")
def test_other_talk_mentions_no_letter_strongly(letter: str) -> None:
    talk = "hello boys and girls thank you for stopping by to listen until next time and goodbye for now"
    assert all(mention.strength <= 0.5 for mention in letter_mentions(spoken(talk), letter))


def test_loop_of_the_decoder_is_no_mention() -> None:
    assert letter_mentions(spoken("A4A4A4A4A4A4A4A4A4"), "A") == []
