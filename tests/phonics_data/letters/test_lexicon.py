from __future__ import annotations

import string

import pytest

from phonics_data.letters.language import foreign_language
from phonics_data.letters.lexicon import LETTERS, example_of, examples, name_of, sound_of, tokens
from phonics_data.types import Word


def word(text: str) -> Word:
    return Word(text=text, start_seconds=1.0, end_seconds=2.0)


def texts(text: str) -> list[str]:
    return [token.text for token in tokens([word(text)])]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Apple,", ["apple"]),
        ("ABC", ["a", "b", "c"]),
        ("QRS", ["q", "r", "s"]),
        ("lmnop", ["l", "m", "n", "o", "p"]),
        ("A-B-C-D", ["a", "b", "c", "d"]),
        ("-B", ["b"]),
        ("U.V.W.", ["u", "v", "w"]),
        ("CAT", ["cat"]),
        ("hi", ["hi"]),
        ("x-ray", ["x-ray"]),
        ("“E”", ["e"]),
        ("...", []),
        ("Y&Z", ["y", "z"]),
    ],
)
def test_words_that_spell_letters_become_letters(written: str, said: list[str]) -> None:
    assert texts(written) == said


def test_spelled_letters_share_the_words_time() -> None:
    found = tokens([word("QRST")])
    assert [(token.start_seconds, token.end_seconds) for token in found] == [
        (1, 1.25),
        (1.25, 1.5),
        (1.5, 1.75),
        (1.75, 2),
    ]
    assert {token.word_index for token in found} == {0}


@pytest.mark.parametrize("letter", LETTERS)
def test_every_letter_names_itself_and_has_words_and_a_sound(letter: str) -> None:
    assert name_of(tokens([word(letter)])[0])[letter] >= 0.6
    assert sum(letter in letters for letters in examples().values()) >= 15
    assert any(letter in sound_of(tokens([word(sound)])[0]) for sound in (_SOUNDS[letter],))


_SOUNDS = dict(
    zip(
        string.ascii_uppercase,
        "ah buh kuh duh eh fff guh huh ih juh kuh luh mmm nuh oh puh kwuh rrr ssss tuh uh vvv wuh ks yuh zzzzz".split(),
        strict=True,
    )
)


@pytest.mark.parametrize(
    ("heard", "letter"), [("bee", "B"), ("see", "C"), ("why", "Y"), ("are", "R"), ("queue", "Q"), ("zed", "Z")]
)
def test_words_that_sound_like_a_name(heard: str, letter: str) -> None:
    assert letter in name_of(tokens([word(heard)])[0])


def test_example_words_by_lexicon_first_letter_and_exception() -> None:
    assert len(examples()) >= 2000
    assert example_of(tokens([word("ball")])[0]) == {"B": 1.0}
    assert example_of(tokens([word("fox")])[0]) == {"F": 1.0, "X": 1.0}
    assert example_of(tokens([word("balls")])[0]) == {"B": 1.0}
    assert example_of(tokens([word("bandersnatch")])[0]) == {"B": 0.3}
    for filler in ("is", "for", "says", "now", "you"):
        assert max(example_of(tokens([word(filler)])[0]).values(), default=0) <= 0.3


def test_languages_are_told_by_their_function_words() -> None:
    letters = list(string.ascii_uppercase)
    german = [text for letter in letters for text in (letter, "wie", "Apfel")]
    english = [text for letter in letters for text in (letter, "is", "for", "apple")]
    assert foreign_language(german) == "German"
    assert foreign_language(english) is None
    assert foreign_language(letters) is None
    assert foreign_language("А это арбуз и Б это банан и В это волк".split() * 3) == "not in Latin script"
    assert (
        foreign_language("a de avión b de burro con la abeja en el árbol como una flor y los pájaros".split() * 3)
        == "Spanish"
    )
