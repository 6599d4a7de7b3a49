"""Importers of labelled media: folders, CSV, GRID."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from phonics_data.dataset.layout import read_description, read_metadata
from phonics_data.errors import InputError
from phonics_data.report.verify import verify
from phonics_data.sources.folder import files_by_csv, files_by_subfolder
from phonics_data.sources.grid import grid_files
from phonics_data.sources.importer import file_id, import_files
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection, Segment
from tests.counted_videos import clicks, constant, make_source, modulated_noise, numbered_picture


def write_video(path: Path, number: int, seconds: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = clicks(seconds, [0.2], 16_000) + modulated_noise(seconds, number, 16_000)
    pictures = [numbered_picture(number * 4096 + index) for index in range(int(25 * seconds))]
    return make_source(path, constant(25, seconds), sound, sound_rate_hz=16_000, pictures=pictures)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    write_video(root / "cat" / "one.mkv", 3)
    write_video(root / "cat" / "two words.mkv", 5)
    write_video(root / "dog" / "deep" / "one.mkv", 9)
    write_video(root / "dog" / "long.mkv", 12, seconds=3)
    (root / "dog" / "corrupted.mp4").write_text("no video")
    (root / "dog" / "notes.txt").write_text("woof")
    return root


def test_subfolders_are_classes(folder: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    count = import_files(workspace, files_by_subfolder(folder), evidence="folder")
    assert (count.num_in, count.num_kept, count.by_reason) == (5, 4, {"not_a_video": 1})
    shard(workspace, tmp_path / "dataset", ShardOptions(label_set="animals"))
    rows = read_metadata(tmp_path / "dataset")
    assert sorted(row.label for row in rows) == ["cat", "cat", "dog", "dog"]
    assert sorted(row.num_frames for row in rows) == [25, 25, 25, 75]
    assert read_description(tmp_path / "dataset")["label_set"] == {"name": "animals", "names": ["cat", "dog"]}
    assert verify(tmp_path / "dataset").faults == ()
    assert not list((tmp_path / "work").rglob("*.mkv")), "the files are not copied"


def test_csv_with_segments(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(
        "path,label,start,end,object_word\ndog/long.mkv,A,0.2,1.4,ant\ndog/long.mkv,B,1.4,,\ncat/one.mkv,C,,,\n"
    )
    workspace = Workspace(tmp_path / "work")
    import_files(workspace, files_by_csv(folder, table), evidence="csv")
    shard(workspace, tmp_path / "dataset", ShardOptions())
    rows = {row.label: row for row in read_metadata(tmp_path / "dataset")}
    assert (rows["A"].start_seconds, rows["A"].end_seconds, rows["A"].object_word) == (0.2, 1.4, "ant")
    assert (rows["B"].start_seconds, rows["B"].end_seconds, rows["B"].object_word) == (1.4, 3.0, None)
    assert rows["C"].num_frames == 25
    assert len(read_description(tmp_path / "dataset")["label_set"]["names"]) == 26


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,letter\na.mp4,A\n", "columns are path, letter; required, once each: path, label"),
        ("path,label\n", "no rows"),
        ("", "columns are none"),
        ('path,label\na.mp4,"A\nB"\n', "a text with a line break ends in line 3; close the quotes"),
        ('path,label\n"a.mp4,A\nb.mp4,B\n', "a text with a line break ends in line 3; close the quotes"),
        ("path;label;start\na.mp4;A;1,5\n", "its columns are separated by semicolons, allowed: commas"),
        ("path\tlabel\na.mp4\tA\n", "its columns are separated by tabs, allowed: commas"),
        (
            "path,label,\na.mp4,A,1.5\n",
            'columns are path, label, ""; .*not allowed: ""',
        ),  # a start whose name is missing
        ("path,label,\na.mp4,A,1\n", 'not allowed: ""'),
        (",path,label\ncat,a.mp4,A\n", 'not allowed: ""'),
    ],
)
def test_invalid_csv_files_are_rejected(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        files_by_csv(tmp_path, tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("rows", "messages"),
    [
        (",A,,", ["line 3: path and label must not be empty"]),
        ("a.mp4, ,,", ["line 3: path and label must not be empty"]),
        (".,A,,", ["line 3: path '.' names no file"]),
        ("../a.mp4,A,,", ["is outside the folder"]),
        ("/etc/a.mp4,A,,\n/etc/a.mp4,A,1,", ["line 3: path '/etc/a.mp4' is outside the folder", "line 4"]),
        ("a.mp4,A,soon,", ["line 3: got 'soon' for a time"]),
        ('a.mp4,A,"1,5",', ["line 3: got '1,5' for a time"]),
        ("a.mp4,A,2,1", ["line 3: end 1 is not after start 2"]),
        ("a.mp4,A,1,2,7", ["line 3: has 5 cells, the header 4; put a text"]),
        ("a.mp4,A\tB,,", ["line 3: label .* has non-printable characters"]),
        ("good.mkv,A,0,1", ["line 3: a second clip of good.mkv starts at 0 s, as in line 2"]),
        (
            "a.mp4,A,1,\n./a.mp4,B,1.0001,\na.mp4,C,1,",
            [
                "line 3: a.mp4 is 'A', but 'B' in line 4",
                "line 4: a.mp4 is 'B', but 'A' in line 3",
                "line 5: a.mp4 is 'C'",
            ],
        ),
        ("a" * 300 + ".mp4,A,,", ["File name too long"]),
    ],
)
def test_a_bad_row_of_a_csv_is_rejected_alone(tmp_path: Path, folder: Path, rows: str, messages: list[str]) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "good.mkv").symlink_to(folder / "cat" / "one.mkv")
    (tmp_path / "t.csv").write_text(f"path,label,start,end\ngood.mkv,A,0,1\n{rows}\n")
    workspace = Workspace(tmp_path / "work")
    count = import_files(workspace, files_by_csv(clips, tmp_path / "t.csv"), evidence="csv")
    assert (count.num_kept, count.num_rejected) == (1, len(messages))
    (segment,) = read_table(workspace.table("segments"), Segment)
    assert (segment.letter, segment.start_seconds, segment.end_seconds) == ("A", 0.0, 1.0)
    details = sorted(row.detail for row in read_table(workspace.table("rejections"), Rejection))
    for detail, message in zip(details, messages, strict=True):
        assert re.search(message, detail)


@pytest.mark.parametrize(
    "text",
    [
        ",path,label\n0,a.mp4,A\n7,b.mp4,B\n",  # the index of pandas
        "Unnamed: 0,path,label\n0,a.mp4,A\n1,b.mp4,B\n",
        ",Unnamed: 0,path,label\n0,5,a.mp4,A\n1,4,b.mp4,B\n",
        "path,label,,,\na.mp4,A,,,\nb.mp4,B\n",  # columns that a spreadsheet saw in use once
        "path,,label\na.mp4,,A\nb.mp4,,B\n",
    ],
)
def test_columns_without_a_name_are_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    files = files_by_csv(tmp_path, tmp_path / "t.csv")
    assert [(file.path.name, file.segments[0].label) for file in files] == [("a.mp4", "A"), ("b.mp4", "B")]
    assert [file.fault for file in files] == [None, None]


def test_equivalent_paths_are_one_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,start,end\na/b.mp4, A ,0,1\n./a//b.mp4,B,1,2\n")
    (found,) = files_by_csv(tmp_path, tmp_path / "t.csv")
    assert found.path == tmp_path / "a" / "b.mp4"
    assert [(segment.label, segment.start_seconds) for segment in found.segments] == [("A", 0.0), ("B", 1.0)]


def test_invalid_folders_are_rejected(tmp_path: Path) -> None:
    for importer in (files_by_subfolder, grid_files):
        with pytest.raises(InputError, match="no such folder"):
            importer(tmp_path / "none")
        with pytest.raises(InputError, match=str(tmp_path)):
            importer(tmp_path)
    with pytest.raises(InputError, match=r"t\.csv: no such file"):
        files_by_csv(tmp_path, tmp_path / "t.csv")
    with pytest.raises(InputError, match="cannot be read"):
        files_by_csv(tmp_path, tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "t.csv").write_text("path,label\na,A\n")
    with pytest.raises(InputError, match="a: a folder; correct the path"):
        import_files(Workspace(tmp_path / "work"), files_by_csv(tmp_path, tmp_path / "t.csv"), evidence="csv")
    (tmp_path / "a" / "b.mp4").write_text("x")
    with pytest.raises(InputError, match="none of 1 files is usable"):
        import_files(Workspace(tmp_path / "work"), files_by_subfolder(tmp_path), evidence="folder")


def test_ids_are_valid_and_unique() -> None:
    ids = {
        file_id(Path(name)) for name in ("a/b.mp4", "a-b.mp4", "a/b.mkv", "ä/ö.mp4", "x" * 300 + ".mp4", "a/../b.mp4")
    }
    assert len(ids) == 6
    assert all(len(one) <= 64 and one.replace("-", "").isalnum() and one.isascii() for one in ids)


def test_grid_labels(tmp_path: Path) -> None:
    write_video(tmp_path / "GRID" / "s1" / "bbaf2n.mkv", 1).rename(tmp_path / "GRID" / "s1" / "bbaf2n.mpg")
    write_video(tmp_path / "GRID" / "s2" / "video.mkv", 2).rename(tmp_path / "GRID" / "s2" / "x.mpg")
    words = "0 23750 sil\n23750 29500 lay\n29500 34000 red\n34000 35500 in\n35500 41000 q\n41000 47250 six\n47250 53000 now\n"
    (tmp_path / "GRID" / "align" / "s2").mkdir(parents=True)
    (tmp_path / "GRID" / "align" / "s2" / "x.align").write_text(words)
    assert [file.segments[0].label for file in grid_files(tmp_path / "GRID")] == ["s1", "s2"]
    assert [file.segments[0].label for file in grid_files(tmp_path / "GRID", "letter")] == ["F", "Q"]
    (tmp_path / "GRID" / "s2" / "x.mpg").rename(tmp_path / "GRID" / "s2" / "x.MPG")
    (tmp_path / "GRID" / "align" / "s2" / "x.align").rename(tmp_path / "GRID" / "align" / "s2" / "x.ALIGN")
    assert [file.segments[0].label for file in grid_files(tmp_path / "GRID", "letter")] == ["F", "Q"], "upper case"
    (tmp_path / "GRID" / "align" / "s2" / "x.ALIGN").write_text("from 0 to 5\n")
    damaged = grid_files(tmp_path / "GRID", "letter")
    assert [file.fault and file.fault.reason for file in damaged] == ["file_missing", "no_label"]
    assert "x.ALIGN: line 1" in str(damaged[1].fault)
    assert all(file.fault is None for file in grid_files(tmp_path / "GRID"))


@pytest.mark.parametrize(
    ("video", "alignment"),
    [
        ("s1/video/mpg_6000/lriq6n.mpg", "alignments/s1/lriq6n.align"),
        ("s1/video/mpg_6000/lriq6n.mpg", "s1/align/lriq6n.align"),
        ("s1.mpg_6000.part1/s1/video/mpg_6000/lriq6n.mpg", "s1/align/lriq6n.align"),
        ("video/s1/LRIQ6N.MPG", "align/s1/lriq6n.align"),
        ("s1_processed/lriq6n.mpg", "s1_processed/align/lriq6n.align"),
        ("data/S01/lriq6n.mp4", "data/alignments/s1/lriq6n.align"),
    ],
)
def test_grid_layouts_of_archives_and_loaders(tmp_path: Path, video: str, alignment: str) -> None:
    (tmp_path / video).parent.mkdir(parents=True)
    (tmp_path / video).write_bytes(b"video")
    (tmp_path / alignment).parent.mkdir(parents=True, exist_ok=True)
    borders = [10_000, 15_000, 20_000, 35_500, 41_000, 47_250, 53_000]
    lines = [f"{low} {high} {word}" for low, high, word in zip(borders, borders[1:], WORDS, strict=False)]
    (tmp_path / alignment).write_text("\n".join(lines))
    for label, expected in (("speaker", "s1"), ("letter", "Q")):
        (file,) = grid_files(tmp_path, label)  # type: ignore[arg-type]
        assert (file.fault, file.segments[0].label) == (None, expected)
    inner = tmp_path / Path(video).parent
    assert [file.segments[0].label for file in grid_files(inner)] == ["s1"], "the folder of the videos is given"


def test_published_tables_name_no_local_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my own clips"
    write_video(folder / "cat" / "good.mkv", 1)
    (folder / "cat" / "bad one.mp4").write_bytes(b"text")
    workspace = Workspace(tmp_path / "work")
    import_files(workspace, files_by_subfolder(folder), evidence="folder")
    assert str(folder) in read_table(workspace.table("rejections"), Rejection)[0].detail
    shard(workspace, tmp_path / "dataset", ShardOptions(label_set="animals"))
    (row,) = read_table(tmp_path / "dataset" / "rejections.parquet", Rejection)
    assert row.detail.startswith("bad one.mp4: ")
    (video,) = read_table(tmp_path / "dataset" / "videos.parquet", FetchedVideo)
    assert video.path == "good.mkv"
    for path in (tmp_path / "dataset").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), path


def test_grid_items_that_do_not_fit_are_rejected_alone(tmp_path: Path) -> None:
    for name in ("s1/video/mpg_6000/lriq6n.mpg", "s1/video/mpg_vcd/lriq6n.mpg", "extra/lriq7n.mpg", "s2/lria1n.mpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"video")
    (tmp_path / "s2" / "lria1n.align").write_text("0 \u00b2 lay\n")
    (tmp_path / "s2" / "gone.mpg").symlink_to("nowhere")
    found = {file.path.relative_to(tmp_path).as_posix(): file for file in grid_files(tmp_path)}
    reasons = {name: file.fault and file.fault.reason for name, file in found.items()}
    assert reasons == {
        "s1/video/mpg_6000/lriq6n.mpg": None, "s1/video/mpg_vcd/lriq6n.mpg": "near_duplicate",
        "extra/lriq7n.mpg": "no_label", "s2/lria1n.mpg": None, "s2/gone.mpg": "file_missing",
    }  # fmt: skip
    letters = {file.path.name: file.fault for file in grid_files(tmp_path, "letter")}
    assert "line 1" in str(letters["lria1n.mpg"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 10 lay\n10 20 red\n20 30 in\n30 40 q\n40 50 six\n50 60 now\n", "expected about 3 s in units of 1/25000 s"),
        (
            "0 9 lay\n9 20000 red\n20000 30000 in\n30000 40000 b\n40000 50000 six\n50000 60000 now\n",
            "its letter is 'b'",
        ),
        ("0 9 lay\n20000 9 red\n", "line 2"),
        (
            "0 9 sil\n9 90 lay\n90 99 red\n99 65500 in\n35500 71000 q\n",
            "line 5 is '35500 71000 q', but the word before",
        ),
        ("0 9 sil\n9 90 lay\n90 99 red\n99 200 in\n200 200 q\n200 71000 six\n", "'200 200 q', a word without duration"),
    ],
)
def test_grid_alignments_of_another_kind_are_rejected(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "lriq6n.mpg").write_bytes(b"video")
    (tmp_path / "s1" / "lriq6n.align").write_text(text)
    (file,) = grid_files(tmp_path, "letter")
    assert message in str(file.fault)


def test_one_alignment_is_not_used_for_two_speakers(tmp_path: Path) -> None:
    borders = [10_000, 15_000, 20_000, 35_500, 41_000, 47_250, 74_500]
    lines = [f"{low} {high} {word}" for low, high, word in zip(borders, borders[1:], WORDS, strict=False)]
    (tmp_path / "align").mkdir()
    (tmp_path / "align" / "lriq6n.align").write_text("\n".join(lines))
    (tmp_path / "s1").mkdir()
    (tmp_path / "s1" / "lriq6n.mpg").write_bytes(b"video")
    assert [file.fault for file in grid_files(tmp_path, "letter")] == [None], "one speaker says it"
    (tmp_path / "s2").mkdir()
    (tmp_path / "s2" / "lriq6n.mpg").write_bytes(b"video")
    faults = [file.fault for file in grid_files(tmp_path, "letter")]
    assert [fault and fault.reason for fault in faults] == ["no_label", "no_label"]
    assert "s1, s2 say this sentence" in str(faults[0])
    (tmp_path / "align" / "s2").mkdir()
    (tmp_path / "align" / "s2" / "lriq6n.align").write_text("\n".join(lines))
    assert [file.fault and file.fault.reason for file in grid_files(tmp_path, "letter")] == ["no_label", None]
    assert [file.fault for file in grid_files(tmp_path)] == [None, None], "the speaker needs no alignment"


def test_alignments_in_another_unit_are_rejected(tmp_path: Path) -> None:
    put_sentence(tmp_path, [34_600, 34_900, 35_200, 35_500, 41_000, 41_100, 41_200])
    alignment = tmp_path / "s1" / "lriq6n.align"
    lines = [line.split() for line in alignment.read_text().splitlines()]
    workspace = Workspace(tmp_path / "work")
    for rate_hz in (50_000, 44_100, 22_050, 16_000, 10_000):
        units = [[str(int(time) * rate_hz // 25_000) for time in (low, high)] for low, high, _ in lines]
        alignment.write_text(
            "\n".join(f"{low} {high} {line[2]}" for (low, high), line in zip(units, lines, strict=True))
        )
        with pytest.raises(
            InputError, match=r"1 duration_mismatch, .*lasts 3\.00 s, but the times of its labels end at"
        ):
            import_files(workspace, grid_files(tmp_path, "letter"), evidence="grid")
    alignment.write_text("\n".join(" ".join(line) for line in lines))
    assert import_files(workspace, grid_files(tmp_path, "letter"), evidence="grid").num_kept == 1
    alignment.write_text("\n".join(f"{int(low) * 2} {int(high) * 2} {word}" for low, high, word in lines))
    with pytest.raises(InputError, match="duration_mismatch"):
        import_files(workspace, grid_files(tmp_path, "letter"), evidence="grid")


def test_grid_as_image_sequences_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "s1" / "bbaf2n").mkdir(parents=True)
    (tmp_path / "s1" / "bbaf2n" / "001.jpg").write_bytes(b"picture")
    with pytest.raises(InputError, match="image sequences"):
        grid_files(tmp_path)


def test_subfolders_that_are_splits_are_refused(tmp_path: Path) -> None:
    for name in ("train/cat/a.mp4", "val/dog/b.mp4"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"video")
    with pytest.raises(InputError, match="contains splits, not classes: train, val;"):
        files_by_subfolder(tmp_path)
    assert [file.segments[0].label for file in files_by_subfolder(tmp_path / "train")] == ["cat"]


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"video")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        ("pretrain/id1/50001.mp4 trainval/id1/50001.mp4 test/id2/50001.mp4", "pretrain, test, trainval"),  # LRS3
        ("main/1234/00001.mp4 pretrain/1234/00001.mp4", "pretrain"),  # LRS2
        ("train_set/cat/a.mp4 test_set/cat/b.mp4", "test_set, train_set"),
        ("train/cat/a.mp4 test/cat/b.mp4 unlabeled/c.mp4", "test, train, unlabeled"),
        ("train/cat/a.mp4 val/cat/b.mp4 replacement/c.mp4", "train, val"),  # Kinetics
        ("kinetics-train/cat/a.mp4 kinetics-val/cat/b.mp4", "kinetics-train, kinetics-val"),
        ("train/cat/a.mp4 extra/c.mp4", "train"),
        ("Train/a.mp4", "Train"),
    ],
)
def test_one_more_folder_does_not_make_splits_classes(tmp_path: Path, names: str, splits: str) -> None:
    put(tmp_path, *names.split())
    with pytest.raises(InputError, match=f"contains splits, not classes: {splits};"):
        files_by_subfolder(tmp_path)


def test_classes_can_have_names_of_splits(tmp_path: Path) -> None:
    put(tmp_path, "car/a.mp4", "train/a.mp4", "freight train/a.mp4", "bus/a.mp4")
    labels = [file.segments[0].label for file in files_by_subfolder(tmp_path)]
    assert labels == ["bus", "car", "freight train", "train"]
    put(tmp_path / "LRW", "ABOUT/train/ABOUT_00001.mp4", "BALL/val/BALL_00001.mp4")
    assert [file.segments[0].label for file in files_by_subfolder(tmp_path / "LRW")] == ["ABOUT", "BALL"]


def test_a_folder_around_the_classes_is_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path / "a", "lipread_mp4/ABOUT/train/ABOUT_00001.mp4", "lipread_mp4/BALL/val/BALL_00001.mp4")
    with pytest.raises(InputError, match=f"lipread_mp4, in ABOUT, BALL; .*import {tmp_path / 'a' / 'lipread_mp4'};"):
        files_by_subfolder(tmp_path / "a")
    put(tmp_path / "b", "data/clips/cat/a.mp4", "data/clips/dog/b.mp4", "loose.mp4")
    with pytest.raises(InputError, match=f"import {tmp_path / 'b' / 'data' / 'clips'};"):
        files_by_subfolder(tmp_path / "b")
    put(tmp_path / "c", "cat/2020/a.mp4", "cat/b.mp4")
    assert [file.segments[0].label for file in files_by_subfolder(tmp_path / "c")] == ["cat", "cat"], "one class"


def test_hidden_and_system_folders_are_no_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hidden = [".ipynb_checkpoints/cat/a.mp4", "@eaDir/cat/a.mp4", "__MACOSX/cat/._a.mp4", "$RECYCLE.BIN/b.mp4"]
    folder = tmp_path / ".cache"
    put(folder, "cat/a.mp4", *hidden, ".Trash-1000/c.mp4", "cat/.thumbs/a.mp4", "cat/.thumbs/b.mp4", "cat/._a.mp4")
    assert [file.path.relative_to(folder).as_posix() for file in files_by_subfolder(folder)] == ["cat/a.mp4"]
    assert (
        "2 .thumbs, 1 $RECYCLE.BIN, 1 .Trash-1000, 1 .ipynb_checkpoints, 1 @eaDir, 1 __MACOSX, 1 hidden" in caplog.text
    )
    put(tmp_path / "GRID", "s1/lriq6n.mpg", ".Trash-1000/s2/lriq6n.mpg", "s1/._lriq6n.mpg")
    assert [file.segments[0].label for file in grid_files(tmp_path / "GRID")] == ["s1"]


def test_files_with_other_suffixes_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = [f"cat/{suffix}.{suffix}" for suffix in "m1v m2v mpe qt divx dv rm asf mp4".split()]
    put(tmp_path, *known, "cat/a.dat", "cat/b.DAT", "cat/c.mp4.part", "cat/README", "cat/.DS_Store")
    assert sorted(file.path.relative_to(tmp_path).as_posix() for file in files_by_subfolder(tmp_path)) == sorted(known)
    assert (
        "left out files that are no videos by their names: 2 .dat, 1 .part, 1 no suffix; a video among" in caplog.text
    )
    for path in list(tmp_path.glob("cat/*")):
        path.unlink()
    made = write_video(tmp_path / "cat" / "video.mkv", 3)
    for name in known:
        (tmp_path / name).write_bytes(made.read_bytes())
    count = import_files(Workspace(tmp_path / "work"), files_by_subfolder(tmp_path), evidence="folder")
    assert (count.num_kept, count.num_rejected) == (len(known) + 1, 0)


def test_files_of_a_folder_that_cannot_be_used_are_rejected_alone(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "a.MP4").write_bytes(b"video")
    (tmp_path / "loose.mp4").write_bytes(b"video")
    (tmp_path / "cat" / "gone.mp4").symlink_to("nowhere")
    (tmp_path / "cat" / "._a.mp4").write_bytes(b"written by macOS")
    odd = os.fsdecode(b"\xff.mp4")
    (tmp_path / "cat" / odd).write_bytes(b"video")
    found = {file.path.name: file.fault and file.fault.reason for file in files_by_subfolder(tmp_path)}
    assert found == {"a.MP4": None, "loose.mp4": "no_label", "gone.mp4": "file_missing", odd: None}
    good = write_video(tmp_path / "cat" / "good.mkv", 1)
    workspace = Workspace(tmp_path / "work")
    count = import_files(workspace, files_by_subfolder(tmp_path), evidence="folder")
    assert count.num_kept == 1
    assert good.exists()
    rows = read_table(workspace.table("rejections"), Rejection)
    assert sorted(row.reason for row in rows) == ["bad_name", "file_missing", "no_label", "not_a_video"]


WORDS = ("lay", "red", "in", "q", "six", "now")


def put_sentence(folder: Path, borders: list[int] | None, *, seed: int = 1) -> None:
    """A video of 3 s, s1/lriq6n.mpg, with the words between `borders` (in units of an alignment)."""
    made = write_video(folder / "s1" / "video.mkv", seed, seconds=3)
    made.rename(made.with_name("lriq6n.mpg"))
    if borders is not None:
        lines = [f"0 {borders[0]} sil"]
        lines += [f"{low} {high} {word}" for low, high, word in zip(borders, borders[1:], WORDS, strict=False)]
        lines += [f"{borders[-1]} 74500 sil"]
        (folder / "s1" / "lriq6n.align").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("letter", "min_frames", "expected"),
    [
        ((35_500, 41_000), 14, (31, 45)),  # frames 35.5 to 41: 6 of its own, 4 before and 4 after
        ((35_000, 40_000), 14, (31, 45)),  # 5 of its own; the odd frame comes after it
        ((35_000, 40_000), 4, (35, 40)),
        ((35_000, 60_000), 14, (35, 60)),
        ((71_000, 74_000), 14, (60, 74)),  # the sentence ends
        ((2_000, 4_000), 14, (0, 14)),  # the sentence begins
    ],
)
def test_grid_letters_are_cut_at_their_seconds(
    tmp_path: Path, letter: tuple[int, int], min_frames: int, expected: tuple[int, int]
) -> None:
    start, end = letter
    borders = [start - 900, start - 600, start - 300, start, end, end + 100, end + 200]
    put_sentence(tmp_path, borders)
    (file,) = grid_files(tmp_path, "letter", min_frames=min_frames)
    (segment,) = file.segments
    assert segment.end_seconds is not None
    assert (segment.start_seconds * 25, segment.end_seconds * 25) == pytest.approx(expected)
    (sentence,) = grid_files(tmp_path)
    assert (sentence.segments[0].start_seconds, sentence.segments[0].end_seconds) == (0.0, None)


def test_grid_letters_without_an_alignment_are_rejected(tmp_path: Path) -> None:
    put_sentence(tmp_path, None)
    workspace = Workspace(tmp_path / "work")
    with pytest.raises(InputError, match=r"none of 1 files is usable; .*lriq6n\.align with six words"):
        import_files(workspace, grid_files(tmp_path, "letter"), evidence="grid")
    assert import_files(workspace, grid_files(tmp_path), evidence="grid").num_kept == 1


def test_real_grid_files(shared_data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "s1"
    folder.mkdir()
    for path in sorted((shared_data / "media" / "GRID").glob("*.mpg"))[:3]:
        (folder / path.name.rpartition("__")[2]).symlink_to(path)
        alignment = path.with_name(path.name.replace("data__", "data__alignments__")).with_suffix(".align")
        (folder / alignment.name.rpartition("__")[2]).symlink_to(alignment)
    workspace = Workspace(tmp_path / "work")
    import_files(workspace, grid_files(tmp_path, "letter"), evidence="grid")
    shard(workspace, tmp_path / "dataset", ShardOptions())
    rows = read_metadata(tmp_path / "dataset")
    assert sorted(row.label for row in rows) == ["F", "L", "S"]
    assert [row.num_frames for row in rows] == [14, 14, 14]
    spoken = {"F": (35_500, 41_000)}
    for row in rows:
        if row.label in spoken:
            low, high = (units / 25_000 for units in spoken[row.label])
            assert row.start_seconds <= low < high <= row.end_seconds


@pytest.mark.parametrize(
    ("label", "kind", "letters"),
    [("B", "letter", "B"), ("HI", "alphabet", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), ("cat", "alphabet", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")],
)  # fmt: skip
def test_only_single_letters_are_letters_of_a_video(tmp_path: Path, label: str, kind: str, letters: str) -> None:
    write_video(tmp_path / "videos" / label / "one.mkv", 3)
    workspace = Workspace(tmp_path / "work")
    import_files(workspace, files_by_subfolder(tmp_path / "videos"), evidence="folder")
    (video,) = read_table(workspace.table("videos"), FetchedVideo)
    assert (video.kind, video.letters) == (kind, letters)


def test_an_interrupted_import_checks_finished_files_once(folder: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    files = files_by_subfolder(folder)

    def stop(_stage: str, done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_files(workspace, files, evidence="folder", on_progress=stop)
    again = import_files(workspace, files, evidence="folder")
    assert again.num_skipped in (2, 3)  # one of the three is damaged, or not
    assert import_files(workspace, files, evidence="folder").num_skipped == again.num_kept == 4
    expected = read_table(workspace.table("videos"), FetchedVideo)
    import_files(Workspace(tmp_path / "other"), files, evidence="folder")
    assert read_table(tmp_path / "other" / "videos.parquet", FetchedVideo) == expected
    path = folder / "cat" / "one.mkv"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1_000_000_000))
    assert import_files(workspace, files, evidence="folder").num_skipped == 3
