"""Which clips share a shard is decided by the clips: more videos change few shards, and the order of arrival none."""

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
from phonics_data.stages.shard.packing import LostClipsError, Piece, pack, plan

TARGET = 40_000


def cut(folder: Path, name: str, num_clips: int = 8) -> list[Piece]:
    """The clips of one video as the cutter leaves them: whole tar entries in one file, 2 to 12 kB each."""
    path = folder / f"{name}.tar"
    chance = random.Random(name)
    pieces: list[Piece] = []
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(num_clips):
            info, offset = tarfile.TarInfo(f"{name}-{number}.frames.npy"), tar.offset
            content = chance.randbytes(chance.randint(2_000, 12_000))
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
            pieces.append(
                Piece(
                    sample_id=f"{name}-{number}", video_id=name, split="train", path=path, offset=offset,
                    num_bytes=tar.offset - offset, content_key=hashlib.sha256(content).hexdigest(),
                )
            )  # fmt: skip
    return pieces


def identity(path: Path) -> tuple[int, int]:
    """Stays when a file is renamed and changes when it is written; a freed inode's number alone comes back."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def in_splits(pieces: list[Piece]) -> list[Piece]:
    splits = split_by_source({piece.video_id: {"A"} for piece in pieces})
    return [dataclasses.replace(piece, split=splits[piece.video_id]) for piece in pieces]


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> list[Piece]:
    folder = tmp_path_factory.mktemp("cut")
    return [piece for number in range(60) for piece in cut(folder, f"song-{number:03d}")]


def test_ten_more_videos_rewrite_only_the_shards_that_they_fall_into(sixty: list[Piece], tmp_path: Path) -> None:
    added = [piece for number in range(10) for piece in cut(tmp_path, f"more-{number}")]
    dataset = tmp_path / "dataset"
    before = plan(in_splits(sixty), target_bytes=TARGET, seed=0)
    pack(dataset, before)
    there = {identity(path): path.read_bytes() for path in dataset.glob("*.tar")}
    after = plan(in_splits([*sixty, *added]), target_bytes=TARGET, seed=0)
    sums = pack(dataset, after)
    kept = [path for path in dataset.glob("*.tar") if identity(path) in there]
    assert all(path.read_bytes() == there[identity(path)] for path in kept)
    assert len(before) >= 60
    # Each new video falls beside one old one; its eight clips end a shard or two, and those beside them change.
    written = len(after) - len(kept)
    assert written <= 10 * 4
    assert len(before) - len(kept) <= 10 * 2, (
        "each added video takes at most the two shards apart between which it falls"
    )
    assert {path.name for path in dataset.glob("*.tar")} == set(sums)
    fresh = pack(tmp_path / "fresh", after)
    assert fresh == sums, "adding gives the bytes that building at once gives"
    for name, digest in sums.items():
        assert hashlib.sha256((dataset / name).read_bytes()).hexdigest() == digest


def test_the_order_of_arrival_does_not_matter(sixty: list[Piece]) -> None:
    mixed = list(sixty)
    random.Random(1).shuffle(mixed)
    ours = plan(in_splits(mixed), target_bytes=TARGET, seed=0)
    theirs = plan(in_splits(sixty), target_bytes=TARGET, seed=0)
    assert [(shard.name, shard.key) for shard in ours] == [(shard.name, shard.key) for shard in theirs]
    other = plan(in_splits(sixty), target_bytes=TARGET, seed=1)
    assert [shard.key for shard in ours] != [shard.key for shard in other]


def test_shards_come_near_the_wanted_size(sixty: list[Piece]) -> None:
    shards = plan(sixty, target_bytes=TARGET, seed=0)
    sizes = [shard.num_bytes for shard in shards]
    assert max(sizes) <= 2 * TARGET + 12_000
    assert 0.6 * TARGET < sum(sizes) / len(sizes) < 1.5 * TARGET
    assert sum(len(shard.pieces) for shard in shards) == len(sixty)


def test_a_clip_larger_than_a_shard_stands_alone(tmp_path: Path) -> None:
    pieces = cut(tmp_path, "large", num_clips=3)
    shards = plan(pieces, target_bytes=1_000, seed=0)
    assert [len(shard.pieces) for shard in shards] == [1, 1, 1]


@pytest.mark.parametrize("workers", [1, 3])
def test_copying_that_fails_leaves_whole_shards_on_the_record_and_goes_on(tmp_path: Path, workers: int) -> None:
    pieces = [piece for number in range(12) for piece in cut(tmp_path, f"video-{number}")]
    shards = plan(in_splits(pieces), target_bytes=TARGET, seed=0)
    fresh = pack(tmp_path / "fresh", shards)
    lost = shards[len(shards) // 2].pieces[0]
    whole = lost.path.read_bytes()
    lost.path.write_bytes(b"x" * len(whole))

    with pytest.raises(LostClipsError) as caught:
        pack(tmp_path / "dataset", shards, workers=workers)

    assert caught.value.video_id == lost.video_id
    recorded = json.loads((tmp_path / "dataset" / ".shards.json").read_text())
    assert {path.name for path in (tmp_path / "dataset").glob("*")} - {".shards.json"} == {
        one["name"] for one in recorded
    }
    assert all(fresh[one["name"]] == one["sha256"] for one in recorded)
    lost.path.write_bytes(whole)
    kept = {one["name"]: identity(tmp_path / "dataset" / one["name"]) for one in recorded}
    assert pack(tmp_path / "dataset", shards, workers=workers) == fresh
    assert kept == {name: identity(tmp_path / "dataset" / name) for name in kept}


def test_a_clip_that_lost_its_end_is_noticed(tmp_path: Path) -> None:
    pieces = cut(tmp_path, "short")
    whole = pieces[0].path.read_bytes()
    pieces[0].path.write_bytes(whole[: pieces[-1].offset + 100])
    with pytest.raises(LostClipsError):
        pack(tmp_path / "dataset", plan(pieces, target_bytes=TARGET, seed=0))
