"""Encoding and decoding are exact inverses; damage is reported; nothing is unpickled or extracted."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import webdataset
from PIL import Image

from phonics_data.contract import video
from phonics_data.contract.sample import Picture, Sample, quantize_audio
from phonics_data.contract.shard import (
    AUDIO,
    FRAMES,
    MEMBERS,
    META,
    OBJECT_BOXES,
    OBJECT_PICTURE,
    content_digest,
    decode,
    encode,
    read_members,
    read_shard,
)
from phonics_data.contract.video import decode_video, encode_video
from phonics_data.errors import DatasetError

pytestmark = pytest.mark.dependencies


def make_sample(key: str = "song-0000123", seed: int = 0, **changes: object) -> Sample:
    rng = np.random.default_rng(seed)
    fields: dict[str, object] = {
        "key": key,
        "frames_LHWC": rng.integers(0, 256, (7, 16, 12, 3), dtype=np.uint8),
        "frame_rate": Fraction(30000, 1001),
        "audio_N": quantize_audio(rng.uniform(-1.1, 1.1, 3737)),
        "audio_rate_hz": 16_000,
        "label": "Q",
        "label_set": "letters",
        "video_id": "sóng",
        "start_seconds": 12.3456789012345,
        "object_word": "queen",
    }
    return Sample(**(fields | changes))  # pyright: ignore[reportArgumentType]


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def shard_of(path: Path, *samples: Sample) -> Path:
    return write_tar(path, {f"{s.key}.{name}": data for s in samples for name, data in encode(s).items()})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"object_word": None},
        {"group": "channel 62"},
        {"frames_LHWC": np.zeros((1, 1, 1, 3), np.uint8)},
        {"audio_N": np.zeros(1, np.float32)},
        {"audio_N": np.array([-1.0, 32767 / 32768, 0.0], np.float32), "audio_rate_hz": 44_100},
        {"frames_LHWC": np.arange(5 * 4 * 4 * 3, dtype=np.uint8).reshape(5, 4, 4, 3)[::2]},
    ],
)
def test_decode_is_the_exact_inverse_of_encode(changes: dict[str, object]) -> None:
    sample = make_sample(**changes)
    again = decode(sample.key, encode(sample))
    assert np.array_equal(again.frames_LHWC, sample.frames_LHWC)
    assert again.frames_LHWC.dtype == np.uint8
    assert np.array_equal(again.audio_N, sample.audio_N)
    assert again.audio_N.dtype == np.float32
    for name in (
        "key",
        "frame_rate",
        "audio_rate_hz",
        "label",
        "label_set",
        "video_id",
        "start_seconds",
        "object_word",
    ):
        assert getattr(again, name) == getattr(sample, name)


def make_picture(height: int = 30, width: int = 41, seed: int = 5) -> Picture:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    picture[0, 0] = (9, 8, 7, 0)
    picture[-1, -1, 3] = 255
    return picture


@pytest.mark.parametrize("size", [(1, 1), (30, 41), (512, 512)])
def test_an_object_picture_is_kept_exactly(size: tuple[int, int]) -> None:
    picture = make_picture(*size)
    sample = make_sample(object_picture=picture)
    members = encode(sample)
    assert tuple(members) == (*MEMBERS, OBJECT_PICTURE)
    assert members == encode(make_sample(object_picture=make_picture(*size)))
    again = decode(sample.key, members).object_picture
    assert again is not None
    assert again.dtype == np.uint8
    assert np.array_equal(again, picture)


def test_the_boxes_of_an_object_are_kept_exactly() -> None:
    sample = make_sample()
    boxes = np.full((sample.num_frames, 4), (0.25, 0.5, 1.0, 0.75), np.float32)
    boxes[0], boxes[1] = 0.0, np.nan
    members = encode(make_sample(object_picture=make_picture(), object_boxes_L4=boxes))
    assert tuple(members) == (*MEMBERS, OBJECT_PICTURE, OBJECT_BOXES)
    again = decode(sample.key, members).object_boxes_L4
    assert again is not None
    assert again.tobytes() == boxes.tobytes()
    assert decode(sample.key, encode(sample)).object_boxes_L4 is None


@pytest.mark.parametrize("content", [b"", b"no array", encode(make_sample())["frames.npy"][:-1]])
def test_broken_boxes_are_refused(content: bytes) -> None:
    members = encode(make_sample()) | {OBJECT_BOXES: content}
    with pytest.raises(DatasetError, match=r"^x\.tar: sample song-0000123: broken member object_boxes\.npy \("):
        decode("song-0000123", members, where="x.tar")


# webdataset leaves closing of its files to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_shards_without_and_with_object_pictures_are_read(tmp_path: Path) -> None:
    with_picture = make_sample("k1", object_picture=make_picture())
    old, new = encode(make_sample("k0")), encode(with_picture)
    assert old[META].replace(b"k0", b"k1") == new[META], "the metadata of earlier releases"
    assert content_digest(new) == content_digest({name: new[name] for name in MEMBERS})
    path = shard_of(tmp_path / "train-000000.tar", make_sample("k0"), with_picture, make_sample("k2"))
    assert [sample.object_picture is None for sample in read_shard(path)] == [True, False, True]
    opened: Any = webdataset
    plain = list(opened.WebDataset(str(path), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in plain] == ["k0", "k1", "k2"]
    assert [OBJECT_PICTURE in sample for sample in plain] == [False, True, False]
    assert all(np.array_equal(sample["frames.npy"], with_picture.frames_LHWC) for sample in plain)
    decoded = list(opened.WebDataset(str(path), shardshuffle=False).decode("rgba8"))
    assert np.array_equal(decoded[1][OBJECT_PICTURE], make_picture())


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def with_pixel_data(content: bytes, data: bytes) -> bytes:
    """A PNG with other pixel data, whose checksum is right."""
    place = content.index(b"IDAT")
    length = int.from_bytes(content[place - 4 : place], "big")
    chunk = b"IDAT" + data
    checksum = zlib.crc32(chunk).to_bytes(4, "big")
    return content[: place - 4] + len(data).to_bytes(4, "big") + chunk + checksum + content[place + length + 8 :]


WHOLE_PNG = encode(make_sample(object_picture=make_picture()))[OBJECT_PICTURE]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a PNG"),
        (b"\xff\xd8\xff a JPEG", "not a PNG"),
        (WHOLE_PNG[:8], "without its end"),
        (WHOLE_PNG[:40], "without its end"),
        (WHOLE_PNG[:-1], "without its end"),
        (WHOLE_PNG[:200] + bytes([WHOLE_PNG[200] ^ 1]) + WHOLE_PNG[201:], "the checksum of its part IDAT differs"),
        (with_pixel_data(WHOLE_PNG, b""), "not a whole PNG"),
        (with_pixel_data(WHOLE_PNG, zlib.compress(bytes(100))), "not a whole PNG"),
        (with_pixel_data(WHOLE_PNG, b"no deflate stream"), "not a whole PNG"),
        (png(Image.new("RGB", (5, 4))), "a PNG of mode RGB, allowed: RGBA"),
        (png(Image.new("RGBA", (513, 4), "#ffffff")), "513 x 4 pixels, allowed: up to 512"),
        (png(Image.new("RGBA", (20_000, 20_000))), "20000 x 20000 pixels, allowed"),
    ],
)
def test_broken_object_pictures_are_refused(content: bytes, message: str) -> None:
    members = encode(make_sample()) | {OBJECT_PICTURE: content}
    with pytest.raises(DatasetError, match=rf"^x\.tar: sample song-0000123: broken member object\.png \(.*{message}"):
        decode("song-0000123", members, where="x.tar")


def test_equal_samples_give_equal_bytes() -> None:
    assert encode(make_sample()) == encode(make_sample())
    assert tuple(encode(make_sample())) == MEMBERS


def test_samples_are_read_in_order_as_by_webdataset(tmp_path: Path) -> None:
    samples = [make_sample(f"k{index}", index) for index in range(4)]
    path = shard_of(tmp_path / "train-000000.tar", *samples)
    assert [sample.key for sample in read_shard(path)] == ["k0", "k1", "k2", "k3"]
    with path.open("rb") as file:
        plain = list(webdataset.tariterators.tar_file_iterator(file))
    assert [name for name, _ in ((entry["fname"], entry["data"]) for entry in plain)][:3] == [
        "k0.frames.npy",
        "k0.audio.flac",
        "k0.meta.json",
    ]


@pytest.mark.parametrize("size", [(64, 64), (63, 65), (98, 130)])
def test_mp4_frames_are_nearly_lossless_and_reproducible(size: tuple[int, int]) -> None:
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    frames = np.stack([np.stack([x * 3, y * 3, (x + y + 4 * t) % 256], axis=-1) for t in range(20)]).astype(np.uint8)
    sample = make_sample(frames_LHWC=frames)
    members = encode(sample, "mp4")
    assert list(members) == ["frames.mp4", "audio.flac", "meta.json"]
    noise: list[np.ndarray] = []
    for seed in range(40):  # with other content in the memory that the encoder gets
        rng = np.random.default_rng(seed)
        noise = [*noise[-10:], rng.integers(0, 256, size=rng.integers(1_000, 40_000), dtype=np.uint8)]
        assert encode(sample, "mp4") == members
    again = decode(sample.key, members)
    assert again.frames_LHWC.shape == frames.shape
    assert again.frames_LHWC.dtype == np.uint8
    # Chroma subsampling blurs the edge of the moving wave; the rest is nearly exact.
    assert np.median(np.abs(again.frames_LHWC.astype(int) - frames)) <= 3
    assert np.array_equal(again.audio_N, sample.audio_N)


@pytest.mark.parametrize("content", [b"", b"not an mp4" * 50, None])
def test_a_damaged_mp4_is_refused(content: bytes | None) -> None:
    members = encode(make_sample(frames_LHWC=np.zeros((9, 16, 16, 3), np.uint8)), "mp4")
    broken = members | {"frames.mp4": members["frames.mp4"][:300] if content is None else content}
    with pytest.raises(DatasetError, match="broken member"):
        decode("song-0000123", broken)


@pytest.mark.parametrize("name", MEMBERS)
def test_missing_members_are_refused(name: str) -> None:
    members = encode(make_sample())
    del members[name]
    with pytest.raises(DatasetError, match=f"sample song-0000123: member {name} is missing"):
        decode("song-0000123", members)


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("keep", [0, 10, 100])
def test_truncated_members_are_refused(name: str, keep: int) -> None:
    members = encode(make_sample())
    members[name] = members[name][:keep]
    with pytest.raises(DatasetError, match="sample song-0000123"):
        decode("song-0000123", members)


def test_pickles_are_refused_and_not_executed(tmp_path: Path) -> None:
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trap,)

    members = encode(make_sample())
    file = io.BytesIO()
    np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)
    for evil in (file.getvalue(), pickle.dumps(Trap())):
        with pytest.raises(DatasetError, match="broken member"):
            decode("song-0000123", members | {FRAMES: evil})
    assert not trap.exists()


def changed_meta(**changes: object) -> dict[str, bytes]:
    members = encode(make_sample())
    return members | {META: json.dumps(json.loads(members[META]) | changes).encode()}


def huge_frames() -> bytes:
    """The header of an array of 300 terabytes, without the array."""
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**4, 10**4, 3)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (changed_meta(schema_version=99), "schema version 99, this program reads 1"),
        (changed_meta(key="other"), "sample song-0000123: meta.json has another key, 'other'"),
        (changed_meta(audio_rate_hz=8000), "audio is at 16000 Hz"),
        (changed_meta(frame_rate="fast"), "is not a fraction"),
        (changed_meta(frame_rate="1/0"), "is not a fraction"),
        (changed_meta(label=7), "label in meta.json is 7, expected text"),
        (changed_meta(label_set=None), "label_set in meta.json is None"),
        (changed_meta(video_id=["a"]), r"video_id in meta.json is \['a'\]"),
        (changed_meta(object_word=1), "object_word in meta.json is 1, expected text or null"),
        (changed_meta(start_seconds="soon"), "start_seconds in meta.json is 'soon', expected seconds"),
        (changed_meta(start_seconds=float("nan")), "start_seconds in meta.json is nan"),
        (encode(make_sample()) | {FRAMES: huge_frames()}, "broken member"),
        (encode(make_sample()) | {META: b"[" * 100_000}, "is not JSON"),
        (encode(make_sample()) | {META: b"[]"}, "must hold an object"),
        (encode(make_sample()) | {META: b"{"}, "is not JSON"),
        (encode(make_sample()) | {META: b'{"schema_version": 1}'}, "lacks key"),
        (encode(make_sample()) | {AUDIO: b"RIFF"}, "broken member"),
    ],
)
def test_wrong_metadata_is_refused(members: dict[str, bytes], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        decode("song-0000123", members)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such shard"):
        list(read_members(tmp_path / "none.tar"))
    (tmp_path / "text.tar").write_text("I am text, and long enough to be a header" * 40)
    with pytest.raises(DatasetError, match="not a whole tar"):
        list(read_members(tmp_path / "text.tar"))
    whole = shard_of(tmp_path / "whole.tar", make_sample()).read_bytes()
    (tmp_path / "half.tar").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DatasetError, match=r"half\.tar"):
        list(read_shard(tmp_path / "half.tar"))
    with pytest.raises(DatasetError, match="has no sample key"):
        list(read_members(write_tar(tmp_path / "other.tar", {"readme": b"hello"})))


def test_members_with_parent_paths_are_not_extracted(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = write_tar(folder / "evil.tar", {"../../x.frames.npy": b"evil"})
    with pytest.raises(DatasetError, match=r"evil\.tar"):
        list(read_shard(path))
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["a", "b", "evil.tar"]


def test_a_small_member_of_hours_of_audio_is_refused_before_it_is_decoded() -> None:
    members, audio = encode(make_sample()), io.BytesIO()
    with soundfile.SoundFile(audio, "w", samplerate=8000, channels=8, format="FLAC") as file:
        for _ in range(34):
            file.write(np.zeros((1_000_000, 8), np.int16))
    assert audio.tell() < 2_000_000
    with pytest.raises(DatasetError, match=r"34000000 samples of 8 channels, allowed: up to 268,435,456 in all"):
        decode("song-0000123", members | {AUDIO: audio.getvalue()})


def test_a_member_of_too_many_frames_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frames_LHWC = np.zeros((5, 16, 16, 3), np.uint8)
    content = encode_video(frames_LHWC, Fraction(25))
    monkeypatch.setattr(video, "MAX_DECODED_BYTES", frames_LHWC.nbytes)
    assert len(decode_video(content)) == 5
    monkeypatch.setattr(video, "MAX_DECODED_BYTES", frames_LHWC.nbytes - 1)
    with pytest.raises(ValueError, match=r"an MP4 of more than .* of frames"):
        decode_video(content)
