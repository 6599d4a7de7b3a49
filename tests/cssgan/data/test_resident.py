"""Decoded splits: windows equal the samples of the shards; unusable shards are refused by name."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cssgan.data import resident
from cssgan.data.shards import resize
from cssgan.types import MelStats
from phonics_data.contract import sample as sample_module
from phonics_data.contract.labels import LETTERS, VIDTIMIT, LabelSet
from phonics_data.contract.logmel import LogMelSpec, log_mel, mel_segments
from phonics_data.contract.sample import Sample
from phonics_data.errors import DatasetError
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_dataset, write_shard

STATS = MelStats(mean=-5.0, std=3.0, clamp=4.0)


def test_windows_have_the_frames_of_the_shard_and_the_segments_of_the_contract(tmp_path: Path) -> None:
    samples = [make_sample(0, num_frames=30), make_sample(1, num_frames=9, frame_rate=Fraction(30))]
    write_shard(tmp_path / "train-000000.tar", samples)

    data = resident.load(tmp_path, "train", 16)

    for sample, clip in zip(samples, data.clips, strict=True):
        window = data.window(clip, 2, 16)
        rows = np.minimum(np.arange(2, 18), sample.num_frames - 1)
        mel = log_mel(sample.audio_N, LogMelSpec())
        assert np.array_equal(window.frames_THWC, sample.frames_LHWC[rows])
        assert np.array_equal(window.raw_mels_TMU, mel_segments(mel, 18, sample.frame_rate)[2:])
        assert window.num_valid_frames == min(16, sample.num_frames - 2)
        assert (window.key, window.label_index) == (sample.key, LETTERS.index(sample.label))


@pytest.mark.parametrize("clip_frames", [None, 4])
def test_rows_of_a_batch_equal_those_of_its_windows(tmp_path: Path, clip_frames: int | None) -> None:
    rates = (25, 30, 25, 60)
    samples = [make_sample(n, num_frames=9 + 7 * n, frame_rate=Fraction(rate)) for n, rate in enumerate(rates)]
    write_shard(tmp_path / "train-000000.tar", samples)
    data = resident.load(tmp_path, "train", 16)
    pairs = [(data.clips[n], data.clips[audio]) for n, audio in ((0, 0), (3, 1), (1, 1), (2, 3))]
    starts = [0, 5, 2, 20]

    frames_BT, hops_BTU = data.rows(pairs, starts, 16, clip_frames=clip_frames)

    for (clip, audio), start, frames, hops in zip(pairs, starts, frames_BT, hops_BTU, strict=True):
        window = data.window(clip, start, 16, audio_of=audio, clip_frames=clip_frames)
        assert np.array_equal(data.frames_NHWC[frames], window.frames_THWC)
        assert np.array_equal(np.moveaxis(data.hops_HM[hops], -1, -2), window.raw_mels_TMU)


def test_mean_and_standard_deviation_cover_all_log_mel_values(tmp_path: Path) -> None:
    samples = [make_sample(seed) for seed in range(3)]
    write_shard(tmp_path / "train-000000.tar", samples[:2])
    write_shard(tmp_path / "train-000001.tar", samples[2:])

    data = resident.load(tmp_path, "train", 16)

    values = np.concatenate([log_mel(sample.audio_N).ravel() for sample in samples])
    assert data.mean == pytest.approx(values.mean(dtype=np.float64), rel=1e-6)
    assert data.std == pytest.approx(values.std(dtype=np.float64), rel=1e-6)
    assert len(data.clips) == 3


def test_shards_are_decoded_again_only_after_a_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="cssgan")
    shard = tmp_path / "train-000000.tar"
    write_shard(shard, [make_sample(0)])
    for _ in range(3):
        resident.load(tmp_path, "train", 16)
    assert len(caplog.records) == 1

    write_shard(shard, [make_sample(0), make_sample(1)])

    assert len(resident.load(tmp_path, "train", 16).clips) == 2
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("index.json", text) for text in (None, b"", b"{", b"{}", b"[]")),
        *(
            (name, content)
            for name in ("frames.bin", "hops.bin", "objects.bin", "boxes.bin")
            for content in (None, b"", b"short")
        ),
    ],
)
def test_a_damaged_cache_is_built_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes | None
) -> None:
    write_shard(tmp_path / "train-000000.tar", [make_sample(0), make_sample(1)])
    cache = tmp_path / "decoded"
    expected = resident.load(tmp_path, "train", 16, cache=cache)
    (folder,) = cache.iterdir()
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)

    found = resident.load(tmp_path, "train", 16, cache=cache)

    assert (found.clips, found.mean, found.std) == (expected.clips, expected.mean, expected.std)
    assert found.frames_NHWC.shape == (40, 16, 16, 3)
    assert f"{folder}: damaged cache" in caplog.text
    assert list(cache.iterdir()) == [folder]


def test_a_failed_decode_leaves_nothing_behind(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-000000.tar", [make_sample(0, size=16)])

    with pytest.raises(DatasetError, match=r"clip-0000: frames are 16x16, the model's data.size is 32"):
        resident.load(tmp_path, "train", 32, cache=tmp_path / "decoded")

    assert list((tmp_path / "decoded").iterdir()) == []


def test_missing_and_empty_datasets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such dataset folder"):
        resident.load(tmp_path / "nowhere", "train", 16)
    with pytest.raises(DatasetError, match="found no shards"):
        resident.load(tmp_path, "train", 16)
    write_shard(tmp_path / "test-000000.tar", [make_sample(0)])
    with pytest.raises(DatasetError, match=r"no train-\*\.tar, found shards of test only"):
        resident.load(tmp_path, "train", 16)
    write_shard(tmp_path / "train-000000.tar", [])
    with pytest.raises(DatasetError, match="hold no samples"):
        resident.load(tmp_path, "train", 16)


def test_shards_of_another_schema_version_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_module, "SCHEMA_VERSION", 99)
    newer = make_sample(0)
    object.__setattr__(newer, "schema_version", 99)
    write_shard(tmp_path / "train-000000.tar", [newer])

    with pytest.raises(DatasetError, match=r"schema version 99, this program reads 1"):
        resident.load(tmp_path, "train", 16)


def test_mixed_label_sets_and_duplicate_keys_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-000000.tar", [make_sample(0), make_sample(1, label="fadg0", label_set="vidtimit")])
    with pytest.raises(DatasetError, match="'vidtimit', those before it of 'letters'"):
        resident.load(tmp_path, "train", 16)

    write_shard(tmp_path / "train-000000.tar", [make_sample(0)])
    write_shard(tmp_path / "train-000001.tar", [make_sample(0)])
    with pytest.raises(DatasetError, match=r"sample clip-0000 is in .* already"):
        resident.load(tmp_path, "train", 16)


def test_silent_datasets_are_refused(tmp_path: Path) -> None:
    sample = make_sample(0)
    sample.audio_N[:] = 0.0
    write_shard(tmp_path / "train-000000.tar", [sample])

    with pytest.raises(DatasetError, match="digital silence"):
        resident.load(tmp_path, "train", 16)


def test_eval_windows_start_at_the_first_frame_and_repeat_the_last_one(tmp_path: Path) -> None:
    samples = [make_sample(seed, num_frames=10 + 4 * seed) for seed in range(4)]
    write_shard(tmp_path / "test-000000.tar", samples)

    out = resident.eval_windows(tmp_path, "test", config=tiny_config(), label_set=LETTERS, mel_stats=STATS)

    assert out.video_NTHWC.shape == (4, 16, 16, 16, 3)
    assert out.mels_NTMU.shape == out.raw_mels_NTMU.shape == (4, 16, 64, 20)
    assert out.num_valid_N.tolist() == [10, 14, 16, 16]
    assert [LETTERS.names[i] for i in out.labels_N] == [sample.label for sample in samples]
    for n, sample in enumerate(samples):
        assert np.array_equal(out.video_NTHWC[n], sample.frames_LHWC[np.minimum(np.arange(16), sample.num_frames - 1)])
    expected = np.clip((out.raw_mels_NTMU + 5.0) / 3.0, -4, 4)
    np.testing.assert_allclose(out.mels_NTMU, expected, atol=1e-6)


def test_fewer_eval_windows_are_evenly_spaced(dataset: Path) -> None:
    out = resident.eval_windows(
        dataset, "train", config=tiny_config(), label_set=LETTERS, mel_stats=STATS, num_videos=3
    )

    assert out.keys == ("clip-0000", "clip-0002", "clip-0004")


@pytest.mark.parametrize("labels", [VIDTIMIT, LabelSet("letters", ("A", "B"))])
def test_eval_windows_of_other_labels_are_refused(tmp_path: Path, labels: LabelSet) -> None:
    write_dataset(tmp_path)

    with pytest.raises(DatasetError, match=r"label set 'letters'|label set is 'letters'"):
        resident.eval_windows(tmp_path, "train", config=tiny_config(), label_set=labels, mel_stats=STATS)


@pytest.mark.parametrize(("size", "target"), [(32, 16), (24, 16), (16, 16)])
def test_frames_are_averaged_over_areas(size: int, target: int) -> None:
    sample = make_sample(0, size=size)

    out = resize(sample, target)

    assert out.shape == (sample.num_frames, target, target, 3)
    assert out.dtype == np.uint8
    assert out.mean() == pytest.approx(sample.frames_LHWC.mean(), abs=0.6)


def test_frames_that_are_not_square_are_refused() -> None:
    sample = make_sample(0)
    wide = Sample(
        key="wide",
        frames_LHWC=np.zeros((4, 16, 32, 3), np.uint8),
        frame_rate=sample.frame_rate,
        audio_N=sample.audio_N,
        audio_rate_hz=16_000,
        label="A",
        label_set="letters",
        video_id="v",
        start_seconds=0.0,
    )
    with pytest.raises(DatasetError, match="wide: frames are 32x16"):
        resize(wide, 16)
