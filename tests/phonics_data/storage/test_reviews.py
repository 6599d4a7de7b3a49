"""reviews.csv: equal after writing and reading; invalid files are errors that name line, value and allowed values."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonics_data.errors import InputError
from phonics_data.storage.reviews import (
    COLUMNS,
    Interval,
    Review,
    ReviewedCopy,
    Reviews,
    read_reviews,
    reviews_text,
    write_reviews,
)

SHA = "ab" * 32
COPY = ReviewedCopy(video_id="song", sha256=SHA, duration_seconds=60.0, loudness="0f3a")


def interval(letter: str, start: float, end: float) -> Interval:
    return Interval(letter=letter, start_seconds=start, end_seconds=end)


def review(decision: str, before: Interval | None, after: Interval | None, **other: str) -> Review:
    fields = {"video_id": "song", "sha256": SHA, "reviewer": "Ada L", "reviewed_at": "2026-01-31T12:00:00Z", **other}
    return Review(decision=decision, before=before, after=after, **fields)  # type: ignore[arg-type]


ROWS = (
    review("complete", None, None),
    review("keep", interval("A", 1, 2.5), interval("A", 1, 2.5), word="apple"),
    review("change", interval("B", 2.5, 4), interval("D", 2.6, 4.125), word="ice cream"),
    review("drop", interval("C", 5, 6), None),
    review("add", None, interval("C", 7, 8)),
)


def test_a_file_is_read_as_it_was_written_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    write_reviews(path, Reviews(rows=ROWS[::-1], copies=(COPY,)))
    assert read_reviews(path) == Reviews(rows=ROWS, copies=(COPY,))
    assert path.read_text() == reviews_text(Reviews(rows=ROWS, copies=(COPY,)))
    assert path.read_text().count("\n") == 7
    write_reviews(path, Reviews())  # all decisions were undone
    assert read_reviews(path) == Reviews()


def test_replacing_the_rows_of_a_video_keeps_the_others() -> None:
    other = review("drop", interval("A", 1, 2), None, video_id="other")
    before = Reviews(rows=(*ROWS, other), copies=(COPY,))
    after = before.with_video("song", ROWS[:1], COPY)
    assert after.rows == (other, ROWS[0])
    assert after.copies == (COPY,)
    assert before.with_video("song", (), COPY) == Reviews(rows=(other,))


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("video_id", "../song", r"line 2, column video_id: got '\.\./song', allowed: 1 to 64 letters"),
        ("sha256", "AB", "column sha256"),
        ("decision", "maybe", "allowed: keep, change, add, drop, complete, source"),
        ("letter", "<b>", "column letter: got '<b>', allowed: A to Z"),
        ("before_start", "-1", "column before_start: got '-1', allowed: 0 to 43200 seconds"),
        ("start", "nan", "column start: got 'nan'"),
        ("start", "1e3", "column start"),
        ("end", "99999", "column end"),
        ("end", "0.5", r"end 0\.5 is not after start 1"),
        ("word", "=cmd()", "column word: got '=cmd"),
        ("word", "x" * 41, "up to 40 letters"),
        ("reviewer", "<script>", "column reviewer"),
        ("reviewed_at", "yesterday", "column reviewed_at"),
    ],
)
def test_invalid_cells_are_named(tmp_path: Path, column: str, text: str, message: str) -> None:
    cells = {
        "video_id": "song", "sha256": SHA, "decision": "change", "before_letter": "A", "before_start": "1",
        "before_end": "2", "letter": "B", "start": "1", "end": "2", "word": "ball", "reviewer": "Ada",
        "reviewed_at": "2026-01-31T12:00:00Z", "tool_version": "0.1.0",
    }  # fmt: skip
    path = tmp_path / "reviews.csv"
    lines = [",".join(cells), ",".join({**cells, column: text}.values())]
    path.write_text("\n".join([lines[0], ",".join(cells.values())]) + "\n")
    assert len(read_reviews(path).rows) == 1
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=message):
        read_reviews(path)


def test_two_decisions_about_one_segment_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    write_reviews(path, Reviews(rows=(ROWS[1], review("add", None, interval("Q", 1, 9)))))
    with pytest.raises(InputError, match="line 3: decides the same as line 2"):
        read_reviews(path)


def test_files_that_are_no_reviews_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    with pytest.raises(InputError, match="no such file"):
        read_reviews(path)
    path.write_text("video_id,letter\nsong,A\n")
    with pytest.raises(InputError, match="missing: sha256"):
        read_reviews(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a UTF-8 CSV file"):
        read_reviews(path)
    with path.open("wb") as file:
        file.truncate(64_000_001)
    with pytest.raises(InputError, match="allowed: up to 64000000"):
        read_reviews(path)
    path.write_text(",".join(COLUMNS) + "\n" + "x" * 200_000 + "\n")
    with pytest.raises(InputError, match="not a UTF-8 CSV file"):
        read_reviews(path)
