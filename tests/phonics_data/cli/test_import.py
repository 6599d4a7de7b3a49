"""The import commands from a folder to a dataset without faults."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from phonics_data.cli.app import app
from phonics_data.contract.labels import VIDTIMIT
from phonics_data.dataset.layout import MetadataRow, read_metadata
from phonics_data.errors import InputError, OptionError, PhonicsDataError
from phonics_data.report.verify import verify
from tests.counted_videos import numbered_picture
from tests.phonics_data.sources.test_importer import write_video
from tests.phonics_data.sources.test_vidtimit import write_sentence


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def rows_of(dataset: Path) -> list[MetadataRow]:
    assert verify(dataset).faults == ()
    assert (dataset / "report.html").is_file()
    return read_metadata(dataset)


def test_folder_with_subfolders_and_with_a_csv(tmp_path: Path) -> None:
    write_video(tmp_path / "clips" / "cat" / "one.mkv", 3)
    write_video(tmp_path / "clips" / "dog" / "two.mkv", 9, seconds=3)
    out = run("import", "folder", tmp_path / "clips", "--work", tmp_path / "w1", "--out", tmp_path / "d1")
    assert "2 in, 2 kept" in out
    assert sorted(row.label for row in rows_of(tmp_path / "d1")) == ["cat", "dog"]
    (tmp_path / "t.csv").write_text("path,label,start,end\ndog/two.mkv,A,0.2,1.4\ndog/two.mkv,B,1.4,\n")
    run(
        "import", "folder", tmp_path / "clips", "--csv", tmp_path / "t.csv", "--label-set", "letters",
        "--work", tmp_path / "w2", "--out", tmp_path / "d2",
    )  # fmt: skip
    assert [(row.label, row.num_frames) for row in sorted(rows_of(tmp_path / "d2"), key=lambda row: row.label)] == [
        ("A", 30),
        ("B", 40),
    ]


def test_imported_labels_can_be_sharded_again(tmp_path: Path) -> None:
    write_video(tmp_path / "clips" / "a|cat" / "one.mkv", 3)
    write_video(tmp_path / "clips" / "dog" / "two.mkv", 9, seconds=3)
    work = tmp_path / "work"
    run("import", "folder", tmp_path / "clips", "--work", work, "--out", tmp_path / "d1")
    card = (tmp_path / "d1" / "README.md").read_text()
    assert "| a\\|cat | " in card
    assert "Labels and times were imported with the media" in card
    assert f"next: phonics-data shard --work {work} --label-set" in run("status", "--work", work)
    with pytest.raises(OptionError, match="--label-set: got 'letters', allowed: a set that contains"):
        run("shard", "--work", work, "--out", tmp_path / "d2")
    assert not (tmp_path / "d2").exists()
    (tmp_path / "limits.toml").write_text("min_seconds = 2.5\n")
    with pytest.raises(InputError, match="cannot be read"):
        run("shard", "--work", work, "--out", tmp_path / "d2", "--label-set", "clips", "--filters", tmp_path)
    out = run(
        "shard", "--work", work, "--out", tmp_path / "d2", "--label-set", "clips", "--filters", tmp_path / "limits.toml"
    )
    assert "too_short 1" in out
    assert [row.label for row in rows_of(tmp_path / "d2")] == ["dog"]


def test_grid_by_speaker_and_by_letter(tmp_path: Path) -> None:
    for speaker, sentence, seed in (("s1", "bbaf2n", 1), ("s2", "lgwm5s", 2)):
        made = write_video(tmp_path / "GRID" / speaker / "video.mkv", seed)
        made.rename(made.with_name(f"{sentence}.mpg"))
        words = ["bin", "blue", "at", sentence[3], "two", "now"]
        lines = [f"{4000 * index} {4000 * index + 4000} {word}" for index, word in enumerate(words)]
        made.with_name(f"{sentence}.align").write_text("\n".join(lines))
    for label, expected in (("speaker", ["s1", "s2"]), ("letter", ["F", "M"])):
        dataset = tmp_path / label
        run("import", "grid", tmp_path / "GRID", "--label", label, "--work", tmp_path / f"w-{label}", "--out", dataset)
        assert sorted(row.label for row in rows_of(dataset)) == expected
    assert [row.num_frames for row in rows_of(tmp_path / "letter")] == [14, 14]
    again = ("--label", "letter", "--min-frames", "20", "--work", tmp_path / "w20", "--out", tmp_path / "d20")
    run("import", "grid", tmp_path / "GRID", *again)
    assert [row.num_frames for row in rows_of(tmp_path / "d20")] == [20, 20]


def test_vidtimit_has_all_speakers_in_all_splits_and_no_head_rotations(tmp_path: Path) -> None:
    for number, speaker in enumerate(("fadg0", "mrcz0", "mwbt0")):
        for place, sentence in enumerate(("sa1", "sa2", "sx10")):
            write_sentence(tmp_path / "corpus" / speaker, sentence, first=9_000 * number + 1_000 * place, frames=20)
        write_sentence(tmp_path / "corpus" / speaker, "head2", frames=3)
    done = CliRunner().invoke(
        app,
        ["import", "vidtimit", f"{tmp_path}/corpus", "--work", f"{tmp_path}/work", "--out", f"{tmp_path}/dataset"],
        catch_exceptions=False,
    )
    assert "contains 9 of the 430 sentences of the corpus" in done.output
    rows = rows_of(tmp_path / "dataset")
    assert Counter(row.label for row in rows) == {"fadg0": 3, "mrcz0": 3, "mwbt0": 3}
    assert {(row.label, row.split) for row in rows} == {
        (label, split) for label in ("fadg0", "mrcz0", "mwbt0") for split in ("train", "validation", "test")
    }
    run(
        "import", "vidtimit", tmp_path / "corpus", "--work", tmp_path / "work", "--out", tmp_path / "whole",
        "--split-ratios", "1,0,0",
    )  # fmt: skip
    assert {row.split for row in rows_of(tmp_path / "whole")} == {"train"}


@pytest.mark.slow
def test_full_vidtimit(tmp_path: Path) -> None:
    """43 speakers with ten sentences each give 430 clips; frames are small and equal for all speakers."""
    for speaker in VIDTIMIT.names:
        for number in range(10):
            write_sentence(tmp_path / "corpus" / speaker, f"s{number}", frames=0)
            video = tmp_path / "corpus" / speaker / "video" / f"s{number}"
            for index in range(14 + number):
                Image.fromarray(numbered_picture(1000 * number + index, 32)).save(video / f"{index:03d}", "JPEG")
            write_sentence(tmp_path / "sound" / speaker, f"s{number}", frames=14 + number)
            sound = tmp_path / "corpus" / speaker / "audio" / f"s{number}.wav"
            (tmp_path / "sound" / speaker / "audio" / f"s{number}.wav").replace(sound)
    run(
        "import", "vidtimit", tmp_path / "corpus", "--work", tmp_path / "work", "--out", tmp_path / "dataset",
        "--workers", 2,
    )  # fmt: skip
    rows = rows_of(tmp_path / "dataset")
    assert len(rows) == 430
    assert Counter(row.label for row in rows) == dict.fromkeys(VIDTIMIT.names, 10)
    assert {(row.label, row.split) for row in rows} == {
        (name, split) for name in VIDTIMIT.names for split in ("train", "validation", "test")
    }
    assert {row.num_frames for row in rows} == set(range(14, 24))


def test_minimum_length_of_whole_sentences_is_refused(tmp_path: Path) -> None:
    for label in ((), ("--label", "speaker")):
        with pytest.raises(OptionError, match="--min-frames: got 20, allowed: only --label letter"):
            run("import", "grid", tmp_path, *label, "--min-frames", "20", "--work", tmp_path / "w", "--out", tmp_path)


def test_unknown_label_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhonicsDataError, match="--label"):
        run("import", "grid", tmp_path, "--label", "word", "--work", tmp_path / "w", "--out", tmp_path / "d")


def test_decisions_of_people_change_imported_letters(tmp_path: Path) -> None:
    write_video(tmp_path / "clips" / "two.mkv", 9, seconds=3)
    (tmp_path / "t.csv").write_text("path,label,start,end\ntwo.mkv,A,0.2,1.4\ntwo.mkv,B,1.4,\n")
    work = tmp_path / "work"
    command = [
        "import", "folder", tmp_path / "clips", "--csv", tmp_path / "t.csv", "--label-set", "letters", "--work", work,
        "--out", tmp_path / "dataset",
    ]  # fmt: skip
    run(*command)
    video_id = rows_of(tmp_path / "dataset")[0].video_id
    (tmp_path / "labels.csv").write_text("letter,start,end,word\nA,0.2,1.2,\nC,1.2,3.0,cat\n")

    out = run("import", "labels", tmp_path / "labels.csv", "--video", video_id, "--work", work)

    assert f"{video_id}: 2 labels" in out
    assert "next: the same `phonics-data import` again" in out
    for _ in range(2):  # the segments that were given stay known
        assert "reviews: 2 of 2 segments are reviewed" in run(*command)
        rows = sorted(rows_of(tmp_path / "dataset"), key=lambda row: row.label)
        assert [(row.label, row.num_frames, row.object_word, row.evidence) for row in rows] == [
            ("A", 25, None, "review"),
            ("C", 45, "cat", "review"),
        ]
    run(*command, "--reviews", "none")
    rows = sorted(rows_of(tmp_path / "dataset"), key=lambda row: row.label)
    assert [(row.label, row.num_frames, row.evidence) for row in rows] == [("A", 30, "csv"), ("B", 40, "csv")]
