"""Packing: added videos change few shards, and the input order changes none."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from phonics_data.quality.split import split_by_source
from phonics_data.stages.shard.packing import LostClipsError, PackedClip, assign_to_shards, pack

TARGET = 40_000


def cut(folder: Path, name: str, num_clips: int = 8) -> list[PackedClip]:
    """The clips of one video as `cut_video` stores them: complete tar entries in one file, 2 to 12 kB each."""
    path = folder / f"{name}.tar"
    rng = random.Random(name)
    clips: list[PackedClip] = []
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(num_clips):
            info, offset = tarfile.TarInfo(f"{name}-{number}.frames.npy"), tar.offset
            content = rng.randbytes(rng.randint(2_000, 12_000))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            clips.append(
                PackedClip(
                    sample_id=f"{name}-{number}", video_id=name, split="train", path=path, offset=offset,
                    num_bytes=tar.offset - offset, content_key=hashlib.sha256(content).hexdigest(),
                )
            )  # fmt: skip
    return clips


def identity(path: Path) -> tuple[int, int]:
    """Unchanged when a file is renamed, changed when it is written; inode numbers alone can be reused."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def in_splits(clips: list[PackedClip]) -> list[PackedClip]:
    splits = split_by_source({clip.video_id: {"A"} for clip in clips})
    return [dataclasses.replace(clip, split=splits[clip.video_id]) for clip in clips]


@pytest.fixture(scope="module")
def sixty_videos(tmp_path_factory: pytest.TempPathFactory) -> list[PackedClip]:
    folder = tmp_path_factory.mktemp("cut")
    return [clip for number in range(60) for clip in cut(folder, f"song-{number:03d}")]


def test_ten_added_videos_rewrite_few_shards(sixty_videos: list[PackedClip], tmp_path: Path) -> None:
    added = [clip for number in range(10) for clip in cut(tmp_path, f"more-{number}")]
    dataset = tmp_path / "dataset"
    before = assign_to_shards(in_splits(sixty_videos), target_bytes=TARGET, seed=0)
    pack(dataset, before)
    existing = {identity(path): path.read_bytes() for path in dataset.glob("*.tar")}
    after = assign_to_shards(in_splits([*sixty_videos, *added]), target_bytes=TARGET, seed=0)
    sums = pack(dataset, after)
    kept = [path for path in dataset.glob("*.tar") if identity(path) in existing]
    assert all(path.read_bytes() == existing[identity(path)] for path in kept)
    assert len(before) >= 60
    # The clips of an added video follow those of one existing video; they end one or two shards and change their neighbours.
    written = len(after) - len(kept)
    assert written <= 10 * 4
    assert len(before) - len(kept) <= 10 * 2, "an added video changes at most two shards"
    assert {path.name for path in dataset.glob("*.tar")} == set(sums)
    rebuilt = pack(tmp_path / "fresh", after)
    assert rebuilt == sums, "adding videos must give the same bytes as packing all at once"
    for name, digest in sums.items():
        assert hashlib.sha256((dataset / name).read_bytes()).hexdigest() == digest


def test_input_order_does_not_matter(sixty_videos: list[PackedClip]) -> None:
    mixed = list(sixty_videos)
    random.Random(1).shuffle(mixed)
    first = assign_to_shards(in_splits(mixed), target_bytes=TARGET, seed=0)
    second = assign_to_shards(in_splits(sixty_videos), target_bytes=TARGET, seed=0)
    assert [(shard.name, shard.key) for shard in first] == [(shard.name, shard.key) for shard in second]
    other = assign_to_shards(in_splits(sixty_videos), target_bytes=TARGET, seed=1)
    assert [shard.key for shard in first] != [shard.key for shard in other]


def test_shard_sizes_are_near_the_target(sixty_videos: list[PackedClip]) -> None:
    shards = assign_to_shards(sixty_videos, target_bytes=TARGET, seed=0)
    sizes = [shard.num_bytes for shard in shards]
    assert max(sizes) <= 2 * TARGET + 12_000
    assert 0.6 * TARGET < sum(sizes) / len(sizes) < 1.5 * TARGET
    assert sum(len(shard.clips) for shard in shards) == len(sixty_videos)


def test_clip_larger_than_a_shard_gets_its_own_shard(tmp_path: Path) -> None:
    clips = cut(tmp_path, "large", num_clips=3)
    shards = assign_to_shards(clips, target_bytes=1_000, seed=0)
    assert [len(shard.clips) for shard in shards] == [1, 1, 1]


@pytest.mark.parametrize("workers", [1, 3])
def test_failed_packing_records_finished_shards_and_is_resumed(tmp_path: Path, workers: int) -> None:
    clips = [clip for number in range(12) for clip in cut(tmp_path, f"video-{number}")]
    shards = assign_to_shards(in_splits(clips), target_bytes=TARGET, seed=0)
    rebuilt = pack(tmp_path / "fresh", shards)
    lost = shards[len(shards) // 2].clips[0]
    whole = lost.path.read_bytes()
    lost.path.write_bytes(b"x" * len(whole))

    with pytest.raises(LostClipsError) as caught:
        pack(tmp_path / "dataset", shards, workers=workers)

    assert caught.value.video_id == lost.video_id
    recorded = json.loads((tmp_path / "dataset" / ".shards.json").read_text())
    assert {path.name for path in (tmp_path / "dataset").glob("*")} - {".shards.json"} == {
        one["name"] for one in recorded
    }
    assert all(rebuilt[one["name"]] == one["sha256"] for one in recorded)
    lost.path.write_bytes(whole)
    kept = {one["name"]: identity(tmp_path / "dataset" / one["name"]) for one in recorded}
    assert pack(tmp_path / "dataset", shards, workers=workers) == rebuilt
    assert kept == {name: identity(tmp_path / "dataset" / name) for name in kept}


def test_truncated_clips_are_detected(tmp_path: Path) -> None:
    clips = cut(tmp_path, "short")
    whole = clips[0].path.read_bytes()
    clips[0].path.write_bytes(whole[: clips[-1].offset + 100])
    with pytest.raises(LostClipsError):
        pack(tmp_path / "dataset", assign_to_shards(clips, target_bytes=TARGET, seed=0))
