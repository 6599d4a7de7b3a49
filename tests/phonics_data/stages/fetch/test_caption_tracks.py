"""Track selection: the transcript of the spoken language, never a translation."""

from __future__ import annotations

import pytest

from phonics_data.stages.fetch.caption_tracks import Track, choose_track, has_translations, is_original, spoken_language


@pytest.mark.parametrize(
    ("code", "language", "expected"),
    [
        ("en", "en", True),
        ("en-GB", "en", True),
        ("en-US", "en", True),
        ("es-419", "es", True),
        ("zh-Hans", "zh", True),
        ("en-eEY6OEpapPo", "en", True),  # a second English track
        ("en-pt", "en", False),  # English out of Portuguese
        ("en-pt-BR", "en", False),
        ("en-fil", "en", False),
        ("en-orig", "en", False),
        ("eng", "en", False),
        ("de", "en", False),
    ],
)
def test_is_original(code: str, language: str, expected: bool) -> None:
    assert is_original(code, language) is expected


def tracks(*specs: str) -> list[Track]:
    """``m:en.json3`` is a manual track, ``a:en-orig.vtt`` an automatic one."""
    found = []
    for spec in specs:
        kind, _, name = spec.partition(":")
        code, _, suffix = name.partition(".")
        found.append(Track(code=code, suffix=f".{suffix}", is_auto=kind == "a"))
    return found


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        (["m:en.json3", "a:en-orig.json3", "a:en.json3"], "m:en.json3"),
        (["a:en-orig.json3", "a:en.json3", "a:de.json3"], "a:en-orig.json3"),
        (["a:en.json3", "a:pt-orig.json3", "a:pt.json3"], None),
        (["m:pt.json3", "m:en-pt.json3", "a:en.json3"], None),
        (["m:en-GB.vtt", "a:en-orig.json3"], "m:en-GB.vtt"),
        (["m:en-GB.json3", "m:en.vtt"], "m:en.vtt"),
        (["m:en.srv1", "m:en.ttml", "m:en.srt", "m:en.vtt", "m:en.json3"], "m:en.json3"),
        (["m:en.srv3"], None),
        ([], None),
    ],
)
def test_chosen_track(available: list[str], expected: str | None) -> None:
    assert choose_track(tracks(*available), "en") == (tracks(expected)[0] if expected else None)
    assert choose_track(reversed(tracks(*available)), "en") == (tracks(expected)[0] if expected else None)


def test_other_languages() -> None:
    available = tracks("a:en.json3", "a:de-orig.json3", "a:de.json3")
    assert choose_track(available, "de") == available[1]
    assert choose_track(available, "fr") is None


def test_translations_are_detected() -> None:
    assert has_translations(tracks("a:en.json3"), "en")
    assert has_translations(tracks("m:en-pt.json3"), "en")
    assert not has_translations(tracks("m:pt.json3"), "en")


@pytest.mark.parametrize(
    ("page_language", "listed", "expected"),
    [
        ("de", ["a:en-orig.json3"], "de"),
        (None, ["a:de-orig.json3", "a:de-orig.vtt", "a:en.json3", "m:en.vtt"], "de"),
        (None, ["m:de.vtt", "a:en.json3"], ""),  # a manual translation does not determine the spoken language
        (None, ["a:de-orig.json3", "a:en-orig.json3"], ""),
        (17, [], ""),
    ],
)
def test_spoken_language(page_language: object, listed: list[str], expected: str) -> None:
    assert spoken_language(page_language, tracks(*listed)) == expected
