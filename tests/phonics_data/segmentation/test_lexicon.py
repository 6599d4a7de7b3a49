from __future__ import annotations

import string
from pathlib import Path

import pytest

from phonics_data.captions.language import foreign_language
from phonics_data.segmentation import lexicon
from phonics_data.segmentation.lexicon import LETTERS, confusable, example_of, examples, name_of, sound_of, tokens
from phonics_data.sources.synthetic.word_list import LETTER_SOUNDS, pictures
from phonics_data.types import Word

WORDS = Path(lexicon.__file__).with_name("words.txt")


def word(text: str) -> Word:
    return Word(text=text, start_seconds=1.0, end_seconds=2.0)


def texts(text: str) -> list[str]:
    return [token.text for token in tokens([word(text)])]


@pytest.mark.parametrize(
    ("written", "expected"),
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
def test_words_that_spell_letters_become_letters(written: str, expected: list[str]) -> None:
    assert texts(written) == expected


def test_spelled_letters_divide_the_time_of_the_word() -> None:
    found = tokens([word("QRST")])
    assert [(token.start_seconds, token.end_seconds) for token in found] == [
        (1, 1.25),
        (1.25, 1.5),
        (1.5, 1.75),
        (1.75, 2),
    ]
    assert {token.word_index for token in found} == {0}


@pytest.mark.parametrize("letter", LETTERS)
def test_every_letter_has_a_name_words_and_a_sound(letter: str) -> None:
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


def token(text: str) -> lexicon.Token:
    return tokens([word(text)])[0]


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("bee", "B"), ("see", "C"), ("sea", "C"), ("gee", "G"), ("eye", "I"), ("jay", "J"), ("oh", "O"), ("pea", "P"),
        ("queue", "Q"), ("cue", "Q"), ("are", "R"), ("tea", "T"), ("tee", "T"), ("you", "U"), ("double-u", "W"), ("ex", "X"),
        ("why", "Y"), ("zed", "Z"), ("zee", "Z"), ("em", "M"), ("en", "N"), ("ess", "S"), ("el", "L"), ("aitch", "H"),
    ],
)  # fmt: skip
def test_words_that_sound_like_a_name(text: str, letter: str) -> None:
    assert letter in name_of(token(text))


@pytest.mark.parametrize("common", ["see", "are", "why", "tea", "you", "oh"])
def test_similar_sounding_word_has_a_lower_value_than_the_name(common: str) -> None:
    (letter, value), *_ = name_of(token(common)).items()
    assert value < 0.5 * name_of(token(letter))[letter]


@pytest.mark.parametrize(
    "text", ["B", "bee", "see", "ball", "apple", "zebra", "to", "too", "add", "all", "mummy", "egg"]
)
def test_words_are_not_sounds(text: str) -> None:
    assert sound_of(token(text)) == {}


@pytest.mark.parametrize(
    ("text", "letter"),
    [("ah", "A"), ("aaah", "A"), ("ahhhhh", "A"), ("buhhh", "B"), ("oooh", "O"), ("eh", "E"), ("oh", "O"), ("mmmmmm", "M"),
     ("zz", "Z"), ("errr", "R")],
)  # fmt: skip
def test_stretched_sounds(text: str, letter: str) -> None:
    assert letter in sound_of(token(text))


def test_sound_of_two_letters_counts_half_for_each() -> None:
    assert sound_of(token("kuh")) == {"C": 0.5, "K": 0.5}


def test_letters_with_similar_names() -> None:
    for letter in LETTERS:
        assert letter not in confusable(letter)
        for other in confusable(letter):
            assert letter in confusable(other)
    assert set(confusable("B")) == set("CDEGPTVZ")
    assert set(confusable("M")) == {"N"}
    assert confusable("O") == ""


def test_word_list_contains_each_word_once_under_a_letter_of_it() -> None:
    lines = [line for line in WORDS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert [line[0] for line in lines] == list(LETTERS)
    for line in lines:
        letter, *words = line.split()
        assert words == sorted(set(words)), letter
        for text in words:
            assert text.isascii()
            assert text == text.lower()
            assert text.startswith(letter.lower()) or (letter == "X" and "x" in text), (letter, text)


@pytest.mark.parametrize("letter", LETTERS)
def test_words_and_sounds_of_rendered_songs_are_in_the_lexicon(letter: str) -> None:
    for picture in pictures()[letter]:
        assert any(letter in example_of(token(part)) for part in picture.word.split()), picture.word
    assert letter in sound_of(token(LETTER_SOUNDS[letter][0]))


def test_example_words_by_lexicon_first_letter_and_exception() -> None:
    assert len(examples()) >= 3000
    assert example_of(tokens([word("ball")])[0]) == {"B": 1.0}
    assert example_of(tokens([word("fox")])[0]) == {"F": 1.0, "X": 1.0}
    for plural in ("balls", "ball's", "boxes", "berries", "benches"):
        assert example_of(token(plural))["B"] == 1.0, plural
    assert example_of(tokens([word("bandersnatch")])[0]) == {"B": 0.3}
    for filler in ("is", "for", "says", "now", "you"):
        assert max(example_of(tokens([word(filler)])[0]).values(), default=0) <= 0.3


def test_languages_are_detected_by_their_function_words() -> None:
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
