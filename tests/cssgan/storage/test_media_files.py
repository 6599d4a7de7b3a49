"""Media files: audio is in sync, images are upright, unusable files are refused by name."""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image, ImageCms, ImageOps

from cssgan.storage.media_files import read_audio, read_image, read_object, write_mp4
from phonics_data.errors import InputError

pytestmark = pytest.mark.dependencies


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_audio_is_in_sync_and_ends_with_the_video(tmp_path: Path, rate_hz: int) -> None:
    click_N = np.zeros(round(1.3 * rate_hz), np.float32)
    click_N[rate_hz // 2] = 0.9

    write_mp4(tmp_path / "click.mp4", np.zeros((25, 64, 64, 3), np.uint8), Fraction(25), click_N, rate_hz)

    with av.open(str(tmp_path / "click.mp4")) as container:
        assert container.duration == pytest.approx(av.time_base, abs=1000)
        frames = list(container.decode(audio=0))
    assert frames[0].pts == 0
    decoded_N = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert np.abs(decoded_N).argmax() / frames[0].sample_rate == pytest.approx(0.5, abs=0.0002)


def test_scale_repeats_pixels_in_both_directions(tmp_path: Path) -> None:
    video_THWC = np.zeros((3, 16, 16, 3), np.uint8)
    video_THWC[:, :8, 8:] = 255

    write_mp4(tmp_path / "corner.mp4", video_THWC, Fraction(25), np.zeros(16_000, np.float32), 16_000, scale=4)

    with av.open(str(tmp_path / "corner.mp4")) as container:
        decoded_HWC = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert decoded_HWC.shape == (64, 64, 3)
    np.testing.assert_allclose(decoded_HWC[::4, ::4], video_THWC[0], atol=8)


def test_an_image_is_turned_upright(tmp_path: Path) -> None:
    upright = np.zeros((12, 12, 3), np.uint8)
    upright[:6] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    Image.fromarray(np.rot90(upright)).save(tmp_path / "phone.png", exif=exif)

    np.testing.assert_array_equal(read_image(tmp_path / "phone.png", 12), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    upright = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(upright).save(tmp_path / "plain.png", exif=exif)
    with Image.open(tmp_path / "plain.png") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))

    np.testing.assert_array_equal(read_image(tmp_path / "plain.png", 8), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_files_are_turned_once(tmp_path: Path, orientation: int) -> None:
    upright = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(upright).save(tmp_path / "a.tif", tiffinfo={0x0112: orientation})
    with Image.open(tmp_path / "a.tif") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(read_image(tmp_path / "a.tif", 16), expected)


def test_colour_profiles_are_applied(tmp_path: Path) -> None:
    # A profile whose red and green are swapped: stored red is shown as green.
    swapped = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = swapped.index(b"rXYZ"), swapped.index(b"gXYZ")
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    for mode, color in (("RGB", (255, 0, 0)), ("RGBA", (255, 0, 0, 255))):
        Image.new(mode, (8, 8), color).save(tmp_path / "a.png", icc_profile=bytes(swapped))
        assert np.abs(read_image(tmp_path / "a.png", 8).astype(int) - (0, 255, 0)).max() <= 3
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "b.png", icc_profile=b"damaged")
    assert np.array_equal(read_image(tmp_path / "b.png", 8)[0, 0], (255, 0, 0))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0nonsense", b"Exif\0\0MM"])
def test_damaged_exif_is_ignored(tmp_path: Path, exif: bytes) -> None:
    Image.fromarray(np.full((8, 8, 3), 77, np.uint8)).save(tmp_path / "odd.jpg", exif=exif)

    assert np.abs(read_image(tmp_path / "odd.jpg", 8).astype(int) - 77).max() <= 1


def test_a_damaged_image_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    for place in (20, 33, 40, len(whole) // 2, len(whole) * 3 // 4):
        (tmp_path / "cut.png").write_bytes(whole[:place])
        (tmp_path / "odd.png").write_bytes(whole[:place] + bytes(8) + whole[place + 8 :])
        with pytest.raises(InputError, match=r"cut\.png: cannot be read as an image"):
            read_image(tmp_path / "cut.png", 8)
        with suppress(InputError):  # refused or read; no other error
            read_image(tmp_path / "odd.png", 8)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_composited_on_white(tmp_path: Path, mode: str) -> None:
    icon = np.zeros((8, 8, 4), np.uint8)
    icon[:, 4:, 3] = 255
    Image.fromarray(icon).convert(mode).save(tmp_path / "icon.png")

    image = read_image(tmp_path / "icon.png", 8)

    assert (image[:, :4] == 255).all()
    assert (image[:, 4:] == 0).all()


def test_the_upper_8_of_16_bits_are_used(tmp_path: Path) -> None:
    grey = np.tile(np.arange(16, dtype=np.uint16) * 4369, (16, 1))
    Image.fromarray(grey).save(tmp_path / "deep.png")

    np.testing.assert_array_equal(
        read_image(tmp_path / "deep.png", 16), (grey >> 8).astype(np.uint8)[..., None].repeat(3, 2)
    )


def test_a_png_of_high_dynamic_range_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8), "red").save(path)
    data = path.read_bytes()
    for colors, is_accepted in ((bytes([1, 13, 0, 1]), True), (bytes([9, 16, 0, 1]), False)):
        chunk = b"cICP" + colors
        path.write_bytes(data[:33] + struct.pack(">I", 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:])
        if is_accepted:
            assert read_image(path, 4)[0, 0].tolist() == [255, 0, 0]
        else:
            with pytest.raises(InputError, match=r"PQ \(HDR\), allowed"):
                read_image(path, 4)


def test_a_tiff_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    Image.new("RGB", (8, 8), "red").save(path, tiffinfo={262: 6, 530: (1, 1)})
    data = bytearray(path.read_bytes())
    at = data.index(struct.pack("<HHI", 262, 3, 1))
    struct.pack_into("<H", data, at + 8, 6)
    path.write_bytes(data)
    with pytest.raises(InputError, match="YCbCr, allowed: RGB"):
        read_image(path, 4)


def test_an_image_without_a_value_range_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "float.tiff")

    with pytest.raises(
        InputError, match=r"float\.tiff: image of mode F, allowed: 8 or 16 bits; save it as an 8-bit png"
    ):
        read_image(tmp_path / "float.tiff", 8)


@pytest.mark.parametrize(
    ("name", "audio", "rate_hz", "words"),
    [
        ("gone.wav", None, 0, "no such audio file"),
        ("empty.wav", [], 16_000, "contains no audio"),
        ("nan.wav", [0.1, np.nan], 16_000, "NaN or infinity"),
        ("inf.wav", [0.1, -np.inf], 16_000, "NaN or infinity"),
        ("slow.wav", [0.1] * 100, 1, "sample rate 1 Hz, allowed: at least 1000"),
    ],
)
def test_unusable_audio_is_refused(
    tmp_path: Path, name: str, audio: list[float] | None, rate_hz: int, words: str
) -> None:
    if audio is not None:
        soundfile.write(tmp_path / name, np.array(audio, np.float32), rate_hz, subtype="FLOAT")

    with pytest.raises(InputError, match=words):
        read_audio(tmp_path / name)


def test_a_small_file_of_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("1", (9000, 9000)).save(path)
    assert path.stat().st_size < 100_000
    for read in (lambda: read_image(path, 64), lambda: read_object(path)):
        with pytest.raises(InputError, match=r"a\.png: .*9000 x 9000 pixels, allowed: up to 67,108,864 pixels"):
            read()


def test_a_small_file_of_hours_of_silence_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", samplerate=8000, channels=8, format="FLAC") as file:
        for _ in range(13):
            file.write(np.zeros((1_000_000, 8), np.int16))
    assert path.stat().st_size < 1_000_000
    with pytest.raises(
        InputError, match=r"a\.flac: .*13000000 samples of 8 channels, allowed: up to 100,000,000 in all"
    ):
        read_audio(path)
