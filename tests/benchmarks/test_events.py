"""The tables of event measures on toy phrases, and the comparison with annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmarks.__main__ import app
from benchmarks.events import AnnotatedClip, count, read_annotations
from phonics_data.contract.sample import num_audio_samples
from phonics_data.errors import InputError
from tests.cssgan.metrics import toy_phrases
from tests.cssgan.toy_dataset import make_sample, write_shard

HEAD = "file,event,first_frame,last_frame,frames_per_second\n"


@pytest.fixture(scope="module", name="dataset")
def _dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy phrases of two songs with a burst of noise at the time of each burst."""
    from dataclasses import replace

    phrases, data = toy_phrases.make(num_songs=2, clips_per_song=4)
    samples = []
    for n, (valid, burst) in enumerate(zip(phrases.valid_N, phrases.bursts_N, strict=True)):
        sample = make_sample(n, num_frames=int(valid))
        audio = np.zeros(num_audio_samples(int(valid), sample.frame_rate, sample.audio_rate_hz), np.float32)
        at = num_audio_samples(int(burst), sample.frame_rate, sample.audio_rate_hz)
        audio[at : at + 1600] = np.random.default_rng(n).uniform(-0.5, 0.5, len(audio[at : at + 1600]))
        frames = np.ascontiguousarray(data.video_NTHWC[n, : int(valid)])
        key = f"{n}_0-0000000"
        samples.append(
            replace(sample, key=key, frames_LHWC=frames, audio_N=audio, video_id=f"{n}_0", group=data.video_ids[n])
        )
    folder = tmp_path_factory.mktemp("events") / "dataset"
    folder.mkdir()
    write_shard(folder / "test-000000.tar", samples)
    return folder


def test_controls_and_corruptions_of_any_dataset(dataset: Path) -> None:
    done = CliRunner().invoke(app, ["events", str(dataset), "--size", "32"])
    assert done.exit_code == 0, done.output
    assert "(`event_match`): 0 of 8." in done.stdout
    assert "8 clips of 2 sources" in done.output  # the songs are the groups of the clips
    lines = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    heads = lines[0][1:]
    rows = {cells[0]: dict(zip(heads, cells[1:], strict=True)) for cells in lines[2:]}
    assert rows["real"]["event_match"].startswith("1.00 (1.00 to 1.00)")
    assert rows["real"]["event_f1"] == rows["real"]["persistence"] == rows["real"]["event_swap_auc"] == "1.00"
    for control in ("held", "flash", "untrained"):
        assert float(rows[control]["event_f1"]) < 0.3, control
        assert abs(float(rows[control]["event_swap_auc"]) - 0.5) <= 0.1, control
    assert float(rows["late 0.2 s"]["event_f1"]) < 0.5 < float(rows["blur 0.5 pixels"]["event_f1"])
    assert rows["freeze 100%"]["event_match"].startswith("0.50")
    assert {"song_mean", "mismatched", "held, noise 12 grey levels", "flash 64 grey levels"} <= set(rows)
    assert rows["late 0.2 s"]["event_swap_auc"] == "-"  # a corruption knows no audio
    assert float(rows["real"]["sync_auc"]) >= 0.0


def test_found_events_against_annotations(dataset: Path, tmp_path: Path) -> None:
    phrases, _ = toy_phrases.make(num_songs=2, clips_per_song=4)
    table = tmp_path / "events.csv"
    style = phrases.styles[0]
    word, thing = (int(phrases.bursts_N[0]) - lead for lead in (style.word_lead, style.object_lead))
    table.write_text(
        HEAD + f"0_0.mp4,word_completes,{word},{word},25\n0_0.mp4,object_enters,{thing},{thing + 3},25\n"
        "1_0.mp4,still,0,30,25\n9_9.mp4,word_enters,3,3,25\n"
    )
    done = CliRunner().invoke(
        app, ["events", str(dataset), "--size", "32", "--annotations", str(table)], catch_exceptions=False
    )
    rows = {line.split(" | ")[0].strip("| "): line for line in done.stdout.splitlines()}
    assert "1.00 (2 of 2)" in rows["all"]
    assert "0.50 (2 of 4)" in rows["all"]  # the events of the second clip, which is said to be still, are false
    assert "1.00" not in rows["control: as many events, evenly placed"]


def test_counts_of_events() -> None:
    clip = AnnotatedClip(once=((0.5, 0.5), (1.0, 1.2)), bends=((1.8, 2.2),))
    found = count([(np.array([0.6, 1.1, 1.9, 3.0]), clip)], 0.12)
    assert (found.hits, found.total, found.right, found.wrong) == (2, 2, 2, 1)
    nothing = count([(np.array([]), clip)], 0.12)
    assert (nothing.recall, nothing.precision) == (0.0, 0.0)


def test_annotations_that_touch_are_one_and_a_scene_ends_with_a_cut(tmp_path: Path) -> None:
    table = tmp_path / "events.csv"
    table.write_text(
        HEAD + "1_0.mp4,word_completes,25,26,25\n1_0.mp4,object_enters,28,50,25\n1_0.mp4,letter_bends,60,70,25\n"
        "2_0.mp4,scene_before,0,4,25\n"
    )
    found = read_annotations(table)
    assert found["1_0"] == AnnotatedClip(once=((1.0, 2.0),), bends=((2.4, 2.8),))
    assert found["2_0"].once[0] == pytest.approx((0.2, 0.2))
    assert len(found["2_0"].once) == 1
    with pytest.raises(InputError, match="lacks the columns event"):
        read_annotations(_write(tmp_path / "other.csv", "file,frames_per_second,first_frame,last_frame\n"))
    with pytest.raises(InputError, match="cannot be read"):
        read_annotations(tmp_path / "missing.csv")


def test_wrong_folders_are_errors(dataset: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["events", str(dataset), "--size", "32", "--truth", str(tmp_path)])
    assert "a folder of `phonics-data render`" in str(done.exception)
    table = _write(tmp_path / "events.csv", HEAD + "7_7.mp4,word_enters,3,3,25\n")
    done = CliRunner().invoke(app, ["events", str(dataset), "--size", "32", "--annotations", str(table)])
    assert "none is of a clip of the dataset" in str(done.exception)


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
