"""Tar shards are grouped as webdataset does; byte ranges give the same samples; errors name the shard."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import tarfile
from pathlib import Path

import fsspec
import pytest
import webdataset

from phonics_data.contract import tar_reader
from phonics_data.errors import DatasetError

NAMES = ("a.x.y", "a.Z", "d/b.c.x", "d/b.c.y", "d.e/b.x", "a.x", "__meta__", "__m__/x.y", "d.e/b.c.tar.gz")
LONG_NAME = "é" * 60 + ".npy"


def write_tar(path: Path, *names: str, tar_format: int = tarfile.PAX_FORMAT) -> Path:
    rng = random.Random(0)
    with tarfile.open(path, "w", format=tar_format) as tar:
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name in names:
            content, info = rng.randbytes(rng.randrange(3000)), tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def read(source: Path | str) -> list[tuple[str, dict[str, bytes]]]:
    return [(sample.key, sample.members) for sample in tar_reader.read_samples(source)]


# webdataset leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("tar_format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_samples_are_those_of_webdataset(tmp_path: Path, tar_format: int) -> None:
    names = NAMES if tar_format == tarfile.USTAR_FORMAT else (*NAMES, LONG_NAME)
    path = write_tar(tmp_path / "a.tar", *names, tar_format=tar_format)

    expected = [
        (sample["__key__"], {name: value for name, value in sample.items() if not name.startswith("__")})
        for sample in webdataset.WebDataset(str(path), shardshuffle=False)
    ]

    assert read(path) == expected
    assert [key for key, _ in expected][:5] == ["a", "d/b", "d.e/b", "a", "d.e/b"]
    (tmp_path / "b.tar").write_bytes(gzip.compress(path.read_bytes()))
    assert read(tmp_path / "b.tar") == expected
    for sample in tar_reader.read_samples(path):
        assert tar_reader.read_sample(path, sample.key, sample.offset, sample.num_bytes) == sample.members


def test_unwanted_samples_are_skipped(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", "a.x", "b.x", "b.y", "c.x")
    everything = {sample.key: sample for sample in tar_reader.read_samples(path)}
    (found,) = tar_reader.read_samples(path, wanted="b".__eq__)
    assert (found.key, found.members) == ("b", everything["b"].members)
    assert (found.offset, found.num_bytes) == (everything["b"].offset, everything["b"].num_bytes)


@pytest.mark.parametrize(
    ("names", "words"), [(("a.x", "a.X"), "member x occurs twice"), (("readme",), "no sample key")]
)
def test_ambiguous_members_are_refused(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    with pytest.raises(DatasetError, match=rf"a\.tar: .*{words}"):
        read(write_tar(tmp_path / "a.tar", *names))


# webdataset leaves its files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_files_of_macos_and_others_are_left_out_as_webdataset_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tar(tmp_path / "a.tar", "._a.x", "a.x", ".DS_Store", "README", "a.y", "d/b.x")
    expected = [
        (sample["__key__"], {name: value for name, value in sample.items() if not name.startswith("__")})
        for sample in webdataset.WebDataset(str(path), shardshuffle=False)
    ]
    assert read(path) == expected
    assert [(key, set(members)) for key, members in expected] == [("a", {"x", "y"}), ("d/b", {"x"})]
    assert "a.tar: 3 members without a sample key are left out, the first: ._a.x" in caplog.text


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("damage", [b"\x55" * 512, b"\0" * 512, b"\x55", b""], ids=["header", "zeros", "byte", "cut"])
def test_damage_in_the_middle_is_an_error(tmp_path: Path, damage: bytes, is_compressed: bool) -> None:
    path = write_tar(tmp_path / "a.tar", "a.x", "b.x", "c.x", tar_format=tarfile.USTAR_FORMAT)
    whole = path.read_bytes()
    offset = list(tar_reader.read_samples(path))[1].offset
    damaged = whole[:offset] + damage + whole[offset + len(damage) :] if damage else whole[: offset + 100]
    path.write_bytes(gzip.compress(damaged) if is_compressed else damaged)
    with pytest.raises(DatasetError, match=r"a\.tar: not a whole tar file"):
        read(path)


def test_joined_archives_are_refused_instead_of_read_in_part(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", "a.x")
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(DatasetError, match="data after the end marker"):
        read(path)
    whole = write_tar(tmp_path / "b.tar", "a.x").read_bytes()
    path.write_bytes(whole[: -(-len(whole.rstrip(b"\0")) // 512) * 512])
    assert len(read(path)) == 1, "the end marker may be missing"


def test_other_content_at_a_byte_range_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", "a.x", "b.x", "c.x")
    sample = list(tar_reader.read_samples(path))[1]
    for key, offset in (("c", sample.offset), ("b", sample.offset + 512), ("b", 10**6)):
        with pytest.raises(DatasetError, match=rf"a\.tar: no longer holds sample {key} at byte {offset}"):
            tar_reader.read_sample(path, key, offset, sample.num_bytes)


def test_byte_ranges_of_an_fsspec_address(tmp_path: Path) -> None:
    files = fsspec.filesystem("memory")
    path = write_tar(tmp_path / "a.tar", "a.x", "b.x")
    files.pipe("/ranges/a.tar", path.read_bytes())
    for sample in tar_reader.read_samples("memory://ranges/a.tar"):
        found = tar_reader.read_sample("memory://ranges/a.tar", sample.key, sample.offset, sample.num_bytes)
        assert found == sample.members
    files.rm("/ranges", recursive=True)
    for call in (lambda: read("memory://ranges/a.tar"), lambda: tar_reader.read_range("memory://ranges/a.tar", 0, 9)):
        with pytest.raises(DatasetError, match=r"ranges/a\.tar: no such shard"):
            call()


def test_unknown_protocols_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"nosuch://a\.tar: cannot be read"):
        read("nosuch://a.tar")


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info


def test_huge_and_sparse_members_are_refused_without_reading_them(tmp_path: Path) -> None:
    (tmp_path / "huge.tar").write_bytes(header("a.npy", 1 << 40).tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(DatasetError, match=r"huge\.tar: member 'a\.npy' is 1,099,511,627,776 bytes, allowed"):
        read(tmp_path / "huge.tar")
    sparse = tarfile.TarInfo("a.npy")
    sparse.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": str(1 << 30)}
    with tarfile.open(tmp_path / "sparse.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(sparse, io.BytesIO(b""))
    with pytest.raises(DatasetError, match=r"sparse\.tar: member 'a\.npy' is sparse"):
        read(tmp_path / "sparse.tar")


def test_random_changes_of_headers_give_samples_or_a_dataset_error(tmp_path: Path) -> None:
    good = write_tar(tmp_path / "a.tar", "a.x", "a.y", "b.x", LONG_NAME, tar_format=tarfile.PAX_FORMAT).read_bytes()
    for content in (good, gzip.compress(good)):
        for seed in range(300):
            rng = random.Random(seed)
            broken = bytearray(content)
            for _ in range(rng.randrange(1, 8)):
                broken[rng.randrange(len(broken))] = rng.choice((0, 0x30, 0x39, 0x80, 0xFF, rng.randrange(256)))
            (tmp_path / "b.tar").write_bytes(broken)
            with contextlib.suppress(DatasetError):
                read(tmp_path / "b.tar")
