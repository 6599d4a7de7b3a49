from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.recognizers import expected_words, object_words, song_result
from tests.phonics_data.segmentation.transcripts import is_for, song


def test_song_result_counts_letters_in_their_place() -> None:
    words, truth = song(phrase=is_for)
    result = song_result("song", words, truth, words[-1].end_seconds, 0.1)
    assert (result.num_true, result.num_found, result.num_in_place) == (26, 26, 26)
    assert result.f1 == pytest.approx(1.0)
    without_q = [word for word in words if word not in truth[16].words]
    assert song_result("song", without_q, truth, words[-1].end_seconds, 0.1).num_in_place == 25


def test_object_words_of_one_letter_without_repetitions() -> None:
    words, _ = song("BB", lambda _: "B is for bat")
    assert object_words(words, "B") == ["bat"]


def test_expected_words_are_read_without_phrases_of_sounds(tmp_path: Path) -> None:
    table = tmp_path / "one-letter.tsv"
    table.write_text("# letter start end word\nA\t0.2\t1.5\tapple\nA\t1.5\t3\tant\nA\t3\t6\t-\n")
    assert expected_words(table) == {"A": {"apple", "ant"}}
