"""Importer of the paper's own material: names, table, text on the screen, groups, odd files."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from phonics_data import open_dataset
from phonics_data.cli.app import app
from phonics_data.dataset.layout import VIDEOS, read_metadata
from phonics_data.errors import InputError, ItemError
from phonics_data.quality.split import GivenSplit
from phonics_data.report.verify import verify
from phonics_data.show import show
from phonics_data.sources.importer import import_files
from phonics_data.sources.phonics import GENERATED_NAME, NAME, Label, labels_of_table, phonics_files, read_label
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection
from tests.counted_videos import constant, make_source, modulated_noise, numbered_picture


def text_picture(lines: list[tuple[str, int, int, int]]) -> NDArray[np.uint8]:
    """A 16:9 card with text (text, left, top, size), squashed to 64 x 64 pixels."""
    card = Image.new("RGB", (384, 216), (250, 236, 160))
    draw = ImageDraw.Draw(card)
    for text, left, top, size in lines:
        draw.text((left, top), text, fill=(150, 20, 60), font=ImageFont.load_default(size))
    return np.asarray(card.resize((64, 64), Image.Resampling.BOX))


def put(path: Path, rate: Fraction | int, seconds: float, number: int, last: NDArray[np.uint8] | None = None) -> Path:
    """A video of numbered pictures; its second half shows `last`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    times = constant(rate, seconds)
    pictures = [numbered_picture((number << 8) + index, 64) for index in range(len(times))]
    if last is not None:
        pictures[len(pictures) // 2 :] = [last] * (len(pictures) - len(pictures) // 2)
    sound = modulated_noise(seconds, number, 44_100)
    return make_source(path, times, sound, sound_rate_hz=44_100, audio_codec="aac", pictures=pictures)


TABLE = (
    "file,letter,word,event,first_frame\n62_5.mp4,a,ant,word_completes,19\n62_5.mp4,A,ant,camera_drifts,0\n"
    "62_6.mp4,A,green apples,still,0\n7_0.mp4,B,,still,0\n"
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table, three clips of two sources, one that the model made, a damaged one, a silent one, and a bad name."""
    folder = tmp_path_factory.mktemp("phonics") / "clips"
    put(folder / "62_5.mp4", Fraction(30000, 1001), 1.6, 0x51)
    put(folder / "62_6.mp4", Fraction(30000, 1001), 1.4, 0x6A)
    put(folder / "7_0.mp4", 24, 1.5, 0x33)
    put(folder / "generated" / "output_62_0_letterq.mp4", 25, 1.2, 0x0F)
    (folder / "8_1.mp4").write_bytes((folder / "7_0.mp4").read_bytes()[:3000])
    make_source(folder / "9_1.mp4", constant(25, 1), None)
    put(folder / "nothing.mp4", 25, 1, 0x77)
    (folder / "labels.csv").write_text(TABLE + "8_1.mp4,C,cat,,\n9_1.mp4,D,dog,,\n99_9.mp4,E,egg,,\n")
    return folder


def test_import_with_a_table(clips: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    import_files(workspace, phonics_files(clips, clips / "labels.csv"), evidence="csv")
    rejected = {row.item_id: row.reason for row in read_table(workspace.table("rejections"), Rejection)}
    missing = next(item for item in rejected if item.startswith("missing-99-9"))
    assert rejected == {
        missing: "file_missing", "8_1": "not_a_video", "9_1": "no_audio_stream", "nothing": "bad_name",
    }  # fmt: skip
    count = shard(workspace, tmp_path / "dataset", ShardOptions(frame_rate=None))
    assert count.num_kept == 4
    rows = {row.video_id: row for row in read_metadata(tmp_path / "dataset")}
    assert {name: (row.label, row.object_word, row.evidence) for name, row in rows.items()} == {
        "62_5": ("A", "ant", "csv"),
        "62_6": ("A", "green apples", "csv"),
        "7_0": ("B", None, "csv"),
        "output_62_0_letterq": ("Q", None, "file_name"),
    }
    # Edges are not trimmed: all frames of each file are there, at its own rate.
    assert (rows["62_5"].num_frames, rows["62_5"].frame_rate) == (
        len(constant(Fraction(30000, 1001), 1.6)),
        Fraction(30000, 1001),
    )
    assert (rows["7_0"].num_frames, rows["7_0"].frame_rate) == (36, Fraction(24))
    groups = {video.video_id: video.group for video in read_table(tmp_path / "dataset" / VIDEOS, FetchedVideo)}
    assert groups == {"62_5": "62", "62_6": "62", "7_0": "7", "output_62_0_letterq": "62"}
    assert {sample.video_id: sample.group for sample in open_dataset(tmp_path / "dataset")} == groups
    assert len({rows[name].split for name in ("62_5", "62_6", "output_62_0_letterq")}) == 1
    assert verify(tmp_path / "dataset").faults == ()
    assert all(path.is_file() for path in show(workspace, "62_5", tmp_path / "show"))
    given = ShardOptions(given_splits=(GivenSplit(video_id="62_5", split="unseen-styles"),))
    shard(workspace, tmp_path / "given", given)
    splits = {row.video_id: row.split for row in read_metadata(tmp_path / "given")}
    assert splits["62_6"] == splits["output_62_0_letterq"] == "unseen-styles" != splits["7_0"]


def test_clips_of_one_source_may_repeat_each_other(tmp_path: Path) -> None:
    """Copies in one source are flagged as those in one song; copies in two sources are dropped."""
    for name in ("1_0.mp4", "1_1.mp4", "2_0.mp4"):
        put(tmp_path / "clips" / name, 25, 1.5, 0x33)
    (tmp_path / "labels.csv").write_text("file,letter,word\n1_0.mp4,A,\n1_1.mp4,A,\n2_0.mp4,A,\n")
    workspace = Workspace(tmp_path / "work")
    import_files(workspace, phonics_files(tmp_path / "clips", tmp_path / "labels.csv"), evidence="csv")
    count = shard(workspace, tmp_path / "dataset", ShardOptions())
    assert count.by_reason == {"near_duplicate": 1}
    assert {row.video_id: row.flags for row in read_metadata(tmp_path / "dataset")} == {
        "1_0": "",
        "1_1": "near_duplicate",
    }


def test_labels_are_read_from_the_screen(tmp_path: Path) -> None:
    cards = {
        "1_0": text_picture([("CAMEL", 60, 70, 80)]),
        "2_0": text_picture([("green", 20, 20, 80), ("grapes", 60, 120, 80)]),
        "3_0": text_picture([("X", 140, -10, 110), ("FOX", 80, 105, 100)]),
        "4_0": text_picture([("E", 130, 10, 180)]),
        "5_0": text_picture([]),
    }
    for number, (name, card) in enumerate(cards.items(), start=0x41):
        put(tmp_path / "clips" / f"{name}.mp4", 25, 1.6, number, card)
    files = {file.video_id: file for file in phonics_files(tmp_path / "clips")}
    read = {
        name: (file.segments[0].label, file.segments[0].object_word) for name, file in files.items() if file.segments
    }
    assert read == {"1_0": ("C", "camel"), "2_0": ("G", "green grapes"), "3_0": ("X", "fox"), "4_0": ("E", None)}
    assert files["5_0"].fault is not None
    assert files["5_0"].fault.reason == "no_label"
    arguments = ["import", "phonics", str(tmp_path / "clips"), "--work", str(tmp_path / "work"), "--out"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "dataset"), "--frame-rate", "source"])
    assert done.exit_code == 0, done.output
    rows = {row.video_id: row for row in read_metadata(tmp_path / "dataset")}
    assert (rows["1_0"].evidence, rows["1_0"].object_word_source) == ("screen", "screen")
    assert 0.5 < rows["1_0"].confidence <= 1.0
    assert (rows["4_0"].evidence, rows["4_0"].object_word_source, rows["4_0"].object_word) == ("screen", "", None)
    (rejection,) = read_table(tmp_path / "dataset" / "rejections.parquet", Rejection)
    assert (rejection.item_id, rejection.reason) == ("5_0", "no_label")
    with pytest.raises(ItemError, match="give its letter and word with --labels"):
        read_label(tmp_path / "clips" / "5_0.mp4")

    # The screens that were read are not read again, unless the file changes.
    def screens() -> list[tuple[str, int, int]]:
        calls: list[tuple[str, int, int]] = []
        again = phonics_files(
            tmp_path / "clips",
            workspace=Workspace(tmp_path / "work"),
            on_progress=lambda *call: calls.append(call),
        )
        assert {file.video_id: file.segments for file in again} == {name: file.segments for name, file in files.items()}
        return calls

    assert screens() == [("read", 5, 5)], "5_0 alone, which has no label"
    os.utime(tmp_path / "clips" / "1_0.mp4", (1, 1))
    assert screens() == [("read", 4, 5), ("read", 5, 5)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns are none"),
        ("file,letter\n1_0.mp4,A\n", "missing: word"),
        ("file,letter,word\n", "has no rows"),
        ("file,letter,word\n,A,ant\n", "line 2: file is ''"),
        ("file,letter,word\n../1_0.mp4,A,ant\n", r"file is '\.\./1_0\.mp4'"),
        ("file,letter,word\n1_0.mp4,AB,ant\n", "letter of 1_0.mp4 is 'AB', allowed: A to Z"),
        ("file,letter,word\n1_0.mp4,,ant\n", "letter of 1_0.mp4 is ''"),
        (
            "file,letter,word\n1_0.mp4,A,ant\n2_0.mp4,B,\n1_0.mp4,A,apple\n",
            "line 4: 1_0.mp4 is A for apple, but A for ant in line 2",
        ),
        ("file,letter,word\n1_0.mp4,A,\n./1_0.mp4,B,\n", "line 3: ./1_0.mp4 is B, but A in line 2"),
        ('file,letter,word\n1_0.mp4,A,"a\nb"\n', "non-printable"),
        (
            "file,letter,word\n1_0.mp4,A,ant, black\n",
            "line 2 has 4 cells, the header 3; put a text that contains a comma",
        ),
        ("file,letter,word,word\n1_0.mp4,A,ant,axe\n", r"required, once each: file, letter, word; .*\(twice: word\)"),
    ],
)
def test_faulty_tables(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        labels_of_table(tmp_path / "labels.csv")


def test_tables_by_hand(tmp_path: Path) -> None:
    """Spaces around names and cells, text in quotes, empty surplus cells, and a word in two spellings."""
    text = '\ufefffile, letter, word,,\r\n1_0.mp4, a, "Ant, black",,,\r\n\r\n1_0.mp4,A,"ant, black"\r\n2_0.mp4,B\r\n'
    (tmp_path / "labels.csv").write_bytes(text.encode())
    assert labels_of_table(tmp_path / "labels.csv") == {
        "1_0.mp4": Label(letter="A", object_word="Ant, black"),
        "2_0.mp4": Label(letter="B"),
    }


def test_tables_and_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(TABLE)
    assert labels_of_table(tmp_path / "labels.csv")["62_5.mp4"] == Label(letter="A", object_word="ant")
    with pytest.raises(InputError, match="no such file"):
        labels_of_table(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="cannot be read"):
        labels_of_table(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        phonics_files(tmp_path / "gone")
    with pytest.raises(InputError, match="no videos below it; expected <source>_<clip>"):
        phonics_files(tmp_path)


def test_a_video_without_a_row_is_rejected(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,letter,word\n7_0.mp4,B,ball\n")
    faults = {file.video_id: file.fault.reason for file in phonics_files(clips, tmp_path / "labels.csv") if file.fault}
    assert faults == {
        "62_5": "no_label",
        "62_6": "no_label",
        "8_1": "no_label",
        "9_1": "no_label",
        "nothing": "bad_name",
    }


def test_links_and_folders_with_the_name_of_a_clip_are_rejected_with_the_reason(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    put(tmp_path / "elsewhere" / "1_0.mp4", 25, 1, 0x51)
    (folder / "18_0.mp4").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (folder / "1_0.mp4").symlink_to(tmp_path / "elsewhere" / "1_0.mp4")
    (folder / "2_0.mp4").symlink_to(folder / "gone.mp4")
    (tmp_path / "t.csv").write_text("file,letter,word\n1_0.mp4,A,\n2_0.mp4,B,\n18_0.mp4,C,\n")
    expected = {
        "2_0.mp4": "a link to a file that does not exist",
        "18_0.mp4": "a folder with the name of a video",
        "link": "a link to a folder, which is not followed",
    }
    files = {file.path.name: file for file in phonics_files(folder, tmp_path / "t.csv")}
    assert files.keys() == {"1_0.mp4", *expected}
    for name, reason in expected.items():
        fault = files[name].fault
        assert fault is not None
        assert (fault.reason, reason in fault.detail) == ("file_missing", True)
    count = import_files(Workspace(tmp_path / "work"), list(files.values()), evidence="csv")
    assert (count.num_kept, count.by_reason) == (1, {"file_missing": 3})


def test_a_table_that_contradicts_a_generated_name(tmp_path: Path) -> None:
    for name in ("output_5_0_lettera", "output_5_1_letterb"):
        put(tmp_path / "clips" / f"{name}.mp4", 25, 1, 0x51)
    (tmp_path / "t.csv").write_text("file,letter,word\noutput_5_0_lettera.mp4,B,bee\noutput_5_1_letterb.mp4,b,bee\n")
    wrong, right = phonics_files(tmp_path / "clips", tmp_path / "t.csv")
    assert wrong.fault is not None
    assert wrong.fault.reason == "no_label"
    assert "its name gives the letter A, --labels" in wrong.fault.detail
    assert (right.fault, right.segments[0].object_word) == (None, "bee")


def test_no_two_files_get_the_same_id(tmp_path: Path) -> None:
    """A subfolder can have the name that stands for rows without a video."""
    for name in ("missing", "o"):
        put(tmp_path / "clips" / name / "1_0.mp4", 25, 1, 0x51)
    (tmp_path / "t.csv").write_text("file,letter,word\nmissing/1_0.mp4,A,\no/1_0.mp4,A,\n1_0.mp4,A,\n")
    files = phonics_files(tmp_path / "clips", tmp_path / "t.csv")
    assert len({file.video_id for file in files}) == len(files) == 3
    assert import_files(Workspace(tmp_path / "work"), files, evidence="csv").num_kept == 2
    with pytest.raises(InputError, match="both get the id"):
        import_files(Workspace(tmp_path / "work"), [files[0], files[0]], evidence="csv")


def test_all_reasons_are_named_if_no_file_is_usable(tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / "clips" / f"62_{number}.mp4", 25, 1, 0x51)
    (tmp_path / "t.csv").write_text("file,letter,word\n62_0.MP4,A,\n62_1,A,\n")
    with pytest.raises(
        InputError,
        match=r"none of 5 files is usable; 3 no_label, the first: .*62_0\.mp4: .* no row of it.*; 2 file_missing, the first: .*in --labels .*, but no such file",
    ):
        import_files(
            Workspace(tmp_path / "work"), phonics_files(tmp_path / "clips", tmp_path / "t.csv"), evidence="csv"
        )


def test_names() -> None:
    assert NAME.fullmatch("dQw4_w9-XcQ_12").groupdict() == {"source": "dQw4_w9-XcQ", "clip": "12"}  # pyright: ignore[reportOptionalMemberAccess]
    found = GENERATED_NAME.fullmatch("output_100_9_lettere")
    assert found is not None
    assert found.groupdict() == {"source": "100", "clip": "9", "letter": "e"}
    assert all(NAME.fullmatch(name) is None for name in ("62", "_5", "62_", "62_a", "62-5", "6 2_5"))


def test_the_authors_samples(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "paper"
    if not folder.is_dir():
        pytest.skip(f"no material of the authors at {folder}")
    workspace = Workspace(tmp_path / "work")
    count = import_files(
        workspace, phonics_files(folder / "dataset-samples", folder / "dataset-samples" / "events.csv"), evidence="csv"
    )
    assert (count.num_kept, count.num_rejected) == (10, 0)
    shard(workspace, tmp_path / "dataset", ShardOptions(frame_rate=None))
    rows = {row.video_id: row for row in read_metadata(tmp_path / "dataset")}
    assert {row.frame_rate for row in rows.values()} == {
        Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30")
    }
    assert (rows["62_5"].num_frames, rows["102_2"].num_frames, rows["156_7"].num_frames) == (48, 128, 40)
    assert verify(tmp_path / "dataset").faults == ()
    assert all(path.is_file() for path in show(workspace, "62_5", tmp_path / "show"))
    # By OCR: all ten letters, and the words that are large enough to read.
    read = {name: read_label(folder / "dataset-samples" / f"{name}.mp4") for name in rows}
    assert {name: label.letter for name, label in read.items()} == {name: row.label for name, row in rows.items()}
    words = [name for name, label in read.items() if label.object_word == rows[name].object_word]
    assert len(words) >= 8
    generated = phonics_files(folder / "generated")
    assert [file.fault for file in generated] == [None] * 26
    assert len({file.segments[0].label for file in generated}) == 26
