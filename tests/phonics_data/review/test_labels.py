"""Label files of other programs: equal after writing and reading; files of those programs; damaged ones are named errors."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.errors import InputError
from phonics_data.review.labels import Label, read_labels, write_labels
from phonics_data.stages.reviewed_segments import automatic_segments
from phonics_data.stages.segment import SegmentOptions, segment
from phonics_data.storage.reviews import read_reviews
from phonics_data.storage.tables import read_table, write_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo
from tests.phonics_data.segmentation.transcripts import song
from tests.phonics_data.stages.test_segment import prepare, segments

pytestmark = pytest.mark.dependencies


def label(letter: str, start: float, end: float, word: str = "") -> Label:
    return Label(letter=letter, word=word, start_seconds=start, end_seconds=end)


LABELS = [
    label("A", 1.0, 2.5, "apple"),
    label("B", 2.4, 4.04, "ice cream"),  # overlaps the one before
    label("C", 4.04, 6.125),
    label("C", 7.0, 8.0, "crème brûlée"),
]


@pytest.mark.parametrize("suffix", [".txt", ".eaf", ".TextGrid", ".csv"])
def test_labels_are_read_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song{suffix}"
    write_labels(path, LABELS[::-1], 60.0, "/videos/song.mp4")
    assert read_labels(path) == LABELS


def test_files_as_the_programs_write_them(tmp_path: Path) -> None:
    audacity = tmp_path / "a.txt"
    audacity.write_text("1.000000\t2.500000\ta apple\n\\\t100.0\t2000.0\n3.000000\t4.000000\tB\n5.0\t6.0\t\n")
    assert read_labels(audacity) == [label("A", 1.0, 2.5, "apple"), label("B", 3.0, 4.0)]
    grid = tmp_path / "a.TextGrid"
    grid.write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = 5 \ntiers? <exists> \nsize = 2 \nitem []: \n'
        '    item [1]:\n        class = "IntervalTier" \n        name = "words" \n        xmin = 0 \n        xmax = 5 \n'
        "        intervals: size = 1 \n        intervals [1]:\n            xmin = 0 \n            xmax = 5 \n"
        '            text = "hello there" \n'
        '    item [2]:\n        class = "IntervalTier" \n        name = "letters" \n        xmin = 0 \n        xmax = 5 \n'
        '        intervals: size = 3 \n        intervals [1]:\n            xmin = 0 \n            xmax = 1 \n            text = "" \n'
        '        intervals [2]:\n            xmin = 1 \n            xmax = 2.5 \n            text = "A apple" \n'
        '        intervals [3]:\n            xmin = 2.5 \n            xmax = 5 \n            text = "" \n'
    )
    assert read_labels(grid) == [label("A", 1.0, 2.5, "apple")]
    with pytest.raises(InputError, match="has the tiers words, letters, expected 'phones'"):
        read_labels(grid, "phones")
    with pytest.raises(InputError, match=r"tier 'words', interval 1: got 'hello there', allowed: a letter"):
        read_labels(grid, "words")
    eaf = tmp_path / "a.eaf"
    eaf.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">'
        '<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/><TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>'
        '<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2500"/></TIME_ORDER><TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Buchstaben">'
        '<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">'
        "<ANNOTATION_VALUE>A apple</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>"
        '<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/></ANNOTATION_DOCUMENT>'
    )
    assert read_labels(eaf) == [label("A", 1.0, 2.5, "apple")]  # the only tier needs no name


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.doc", "x", r"got suffix '\.doc', allowed: \.txt, \.eaf"),
        ("a.txt", "1.0 2.0 A\n", "line 1: got '1.0 2.0 A', allowed: start, end and label with tabs"),
        ("a.txt", "1.0\t2.0\tapple\n", "line 1: got 'apple', allowed: a letter"),
        ("a.txt", "2.0\t1.0\tA\n", r"got 2 to 1 s, allowed: start before end"),
        ("a.txt", "nan\t1.0\tA\n", "got nan to 1 s"),
        ("a.txt", "\n", "has no labels"),
        ("a.csv", "letter,start,end\nA,one,2\n", "line 2: got start 'one'"),
        ("a.csv", "letter,begin\nA,1\n", "missing: start, end"),
        ("a.TextGrid", "no grid\n", "not a readable TextGrid"),
        ("a.TextGrid", "", "not a readable TextGrid"),
        ("a.eaf", "<a", "not a readable ELAN file"),
        ("a.eaf", "<a/>", "not a readable ELAN file|has the tiers none"),
        ("a.eaf", f'<?xml version="1.0"?>{BOMB}]><a>&j;</a>', "not a readable ELAN file"),
        ("a.eaf", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "not a readable ELAN file"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_labels(path)


def test_limits(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(path)
    with path.open("wb") as file:
        file.truncate(16_000_001)
    with pytest.raises(InputError, match="allowed: up to 16000000"):
        read_labels(path)
    path.write_text("".join(f"{n}\t{n + 0.5}\tA\n" for n in range(5_001)))
    with pytest.raises(InputError, match="has 5001 labels"):
        read_labels(path)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path / "work")
    prepare(workspace, song=song()[0])
    path = workspace.table("videos")
    videos = [dataclasses.replace(one, sha256="ab" * 32) for one in read_table(path, FetchedVideo)]
    write_table(path, FetchedVideo, videos)
    segment(workspace, SegmentOptions())
    return workspace


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, done.exception
    return done.output


@pytest.mark.parametrize("kind", ["audacity", "eaf", "textgrid", "csv"])
def test_segments_travel_through_another_program(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    before = automatic_segments(workspace, "song")
    assert "1 files" in run("export-labels", tmp_path / "labels", "--work", workspace.root, "--format", kind)
    (path,) = (tmp_path / "labels").iterdir()
    output = run("import", "labels", path, "--work", workspace.root, "--reviewer", "Ada")
    assert f"song: {len(before)} labels, {len(before)} of them about an automatic segment" in output
    reviews = read_reviews(workspace.root / "reviews.csv")
    assert {row.decision for row in reviews.rows} == {"keep", "complete"}
    segment(workspace, SegmentOptions())
    assert segments(workspace) == [dataclasses.replace(one, evidence="review", confidence=1.0) for one in before]


def test_labels_replace_and_complete(workspace: Workspace, tmp_path: Path) -> None:
    first = automatic_segments(workspace, "song")[0]
    path = tmp_path / "other.txt"
    path.write_text(f"{first.start_seconds + 0.2}\t{first.end_seconds}\tA ant\n90\t92\tQ\n")
    run("import", "labels", path, "--work", workspace.root, "--video", "song", "--partial")
    segment(workspace, SegmentOptions())
    assert len(segments(workspace)) == 27
    run("import", "labels", path, "--work", workspace.root, "--video", "song")
    segment(workspace, SegmentOptions())
    assert [(one.letter, one.object_word) for one in segments(workspace)] == [("A", "ant"), ("Q", None)]
    for arguments, message in (
        ([path], "no video 'other' in"),
        ([path, path, "--video", "song"], "only with one file"),
        ([path, "--video", "song", "--reviewer", "<b>"], "--reviewer"),
    ):
        done = CliRunner().invoke(app, ["import", "labels", *map(str, arguments), "--work", str(workspace.root)])
        assert message in str(done.exception)
    path.write_text("1\t2000\tA\n")
    done = CliRunner().invoke(app, ["import", "labels", str(path), "--work", str(workspace.root), "--video", "song"])
    assert "in 0 to" in str(done.exception)
