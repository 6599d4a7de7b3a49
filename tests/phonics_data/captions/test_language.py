from __future__ import annotations

import string

import pytest

from phonics_data.captions.language import foreign_language
from phonics_data.segmentation.lexicon import examples


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("German", "a be tse de e ef ge ha i jot ka el em en o pe ku er es te u vau we ix ypsilon zett"),
        ("German", "jot, ka, ypsilon"),
        ("German", "A Apfel, B Baum, E Ente, F Fisch, H Haus, H Hund"),
        (
            "French",
            "a bé cé dé e effe gé hache i ji ka elle emme enne o pé qu erre esse té u vé double vé ixe i grec zède",
        ),
        (
            "Spanish",
            "a be ce de e efe ge hache i jota ka ele eme ene eñe o pe cu erre ese te u uve equis i griega zeta",
        ),
        ("Spanish", "hache, eñe, i griega"),
        (
            "Portuguese",
            "a bê cê dê e efe gê agá i jota cá ele eme ene o pê quê erre esse tê u vê dáblio xis ípsilon zê",
        ),
        ("Italian", "ci, acca, zeta"),
        ("Italian", "A ape, B balena, C cane, D dado, E elefante, F farfalla, G gatto"),
        ("Dutch", "aa bee cee dee ee ef gee haa ie jee kaa el em en oo pee kuu er es tee uu vee wee iks ij zet"),
        ("Polish", "a be ce de e ef gie ha i jot ka el em en o pe ku er es te u wu iks igrek zet"),
        ("Turkish", "a be ce çe de e fe ge yumuşak ge he ı i je ke le me ne o ö pe re se şe te u ü ve ye ze"),
        ("Turkish", "A araba, A arı, B balık, E elma, K kedi, K kuş"),
    ],
)
def test_letter_names_and_example_words_show_the_language(language: str, text: str) -> None:
    assert foreign_language(text.split()) == language


@pytest.mark.parametrize(
    "text",
    [
        " ".join(string.ascii_uppercase),
        "ay bee cee dee ee eff gee aitch eye jay kay el em en oh pee cue ar ess tee you vee double you ex why zee",
        "a ah buh kuh duh eh fff guh ha ih juh ka luh mmm nuh oh puh kwuh rrr sss tuh uh vvv wuh ks yuh zzz",
        "A is for ape, B is for bee, C is for chat, Z is for zorro and O is for ole",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi",
        "ha ha ha ka ka la la na na zet oh ji hey",
        "today we learn the alphabet in Spanish this is jota and this is hache can you say eñe with me now",
    ],
)
def test_english_letters_sounds_and_songs_are_english(text: str) -> None:
    assert foreign_language(text.split()) is None


def test_all_english_example_words_are_english() -> None:
    assert foreign_language(examples()) is None
