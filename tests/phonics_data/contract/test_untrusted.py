"""Values of files that other people made: what is refused, and that nothing else than ValueError or OSError is raised."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from phonics_data.contract.image_file import opened_image
from phonics_data.contract.untrusted import (
    number_of_json,
    parse_json,
    parse_json_object,
    parse_npy,
    read_json,
    read_limited,
    read_npz,
    read_parquet,
    read_sound,
    seconds_of_text,
    text_of_bytes,
    web_address_fault,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"[" * 100_000, "deeper than 64"),
        (b"[" * 65 + b"]" * 65, "deeper than 64"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "deeper than 64"),
        (b"9" * 5000, "4300"),
        (b"[9223372036854775808]", "64 bits"),
        (b"NaN", "not finite"),
        (b"[-Infinity]", "not finite"),
        (b"1e999", "not finite"),
        (b"\xff\xfe{\x00}\x00", "utf-8"),
        (b"{", "Expecting"),
    ],
)
def test_json_is_limited(text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_json_that_is_read() -> None:
    assert parse_json(b"[" * 64 + b"]" * 64)
    assert parse_json(b"\xef\xbb\xbf[1, -9223372036854775808, 1.5]") == [1, -(2**63), 1.5]
    assert parse_json(b'{"a\\ud800": ["\\ud83d\\ude00", "\\udc00b"]}') == {"a\ufffd": ["\U0001f600", "\ufffdb"]}
    assert parse_json(b"[1e999, 18446744073709551616]", any_numbers=True)[1] == 2**64
    with pytest.raises(ValueError, match="got a list, allowed: a JSON object"):
        parse_json_object(b"[]")


def test_sizes_of_files_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"[1,2,3]")
    assert read_limited(path, 7) == b"[1,2,3]"
    with pytest.raises(ValueError, match="more than 6 bytes"):
        read_json(path, max_bytes=6)
    with pytest.raises(ValueError, match="more than 100 bytes"):
        read_limited(Path("/dev/zero"), 100)  # has no size, and no end


@pytest.mark.parametrize("data", [b"\xff\xfea\x00", b"\xfe\xff\x00a", b"a\xff", b"a\nb\0"])
def test_other_encodings_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"UTF-16|not UTF-8|NUL character in line 2"):
        text_of_bytes(data)


@pytest.mark.parametrize("text", ["nan", "inf", "1e999", "9" * 5000, "1_0", "\u0661", "0x1", ""])
def test_texts_that_are_no_seconds(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: seconds"):
        seconds_of_text(text)


@pytest.mark.parametrize("value", [True, None, "1", float("nan"), 10**400, []])
def test_values_that_are_no_numbers(value: object) -> None:
    with pytest.raises(ValueError, match="allowed: a number"):
        number_of_json(value)


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1", "http://a b", "http://h:65536/", "http://h:x/", "http://", "http://a..b/", f"http://{'a' * 64}.org/", "http://h/\0",
        "http://h/\x1b[2J", "http://h/\r\nHost: x", f"http://h/{'a' * 5000}", "http://h/\u202e", "https://[1::2::3]/",
    ],
)  # fmt: skip
def test_addresses_that_no_request_can_be_sent_to(address: str) -> None:
    assert web_address_fault(address)


@pytest.mark.parametrize(
    "address", ["http://[::1]:80/a", "https://www.youtube.com/watch?v=x", "http://a_b.org:65535", "http://\xfc.de/%20"]
)
def test_addresses_that_are_valid(address: str) -> None:
    assert not web_address_fault(address)


def _npy(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(8)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<q9', 'fortran_order': False, 'shape': (1,)}",
        "(" * 5000, "-" * 5000 + "1", "{", "\0",
    ],
)  # fmt: skip
def test_arrays_that_lie(header: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        parse_npy(_npy(header))


def test_arrays_are_read(tmp_path: Path) -> None:
    for array in (
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.zeros((0, 4)),
        np.array("x"),
    ):
        file = io.BytesIO()
        np.save(file, array)
        found = parse_npy(file.getvalue())
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype
        assert found.flags.writeable
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(3), b=np.array("x"))
    assert set(read_npz(tmp_path / "a.npz")) == {"a", "b"}


def test_compressed_arrays_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(10_000_000))
    assert path.stat().st_size < 20_000
    with pytest.raises(ValueError, match="more than 1,000,000 bytes"):
        read_npz(path, max_bytes=1_000_000)


def test_tables_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    for data in (b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            read_parquet(path)


def _wav(*, channels: int = 1, rate_hz: int = 8000, riff: int = 0xFFFFFFFF, data: int = 0xFFFFFFF0) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * 2 * channels, min(2 * channels, 65535), 16)
    return (
        b"RIFF"
        + struct.pack("<I", riff)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", data)
        + bytes(160)
    )


def test_sounds_that_lie(tmp_path: Path) -> None:
    sound_NC, rate_hz = read_sound(_wav())
    assert (len(sound_NC), rate_hz) == (80, 8000)
    for data in (_wav(channels=0), _wav(rate_hz=0), _wav(channels=65535), b"RIFF", b"", bytes(100)):
        with pytest.raises(ValueError, match=r"\S"):
            read_sound(data)
    with pytest.raises(ValueError, match="80 samples of 1 channels, allowed: up to 10 in all"):
        read_sound(_wav(), max_values=10)
    with pytest.raises(ValueError, match=r"\S"):
        read_sound(tmp_path / "none.wav")


def test_a_flac_header_that_announces_hours(tmp_path: Path) -> None:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.zeros(1000), 8000, format="FLAC")
    data = bytearray(file.getvalue())
    data[8 + 13 : 8 + 18] = b"\x0f\xff\xff\xff\xff"  # number of samples: 2^36 - 1
    try:
        sound_NC, _ = read_sound(bytes(data))
    except ValueError:
        return
    assert len(sound_NC) <= 1000


def test_pictures_that_lie() -> None:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "BMP")
    data = bytearray(file.getvalue())
    data[18:26] = struct.pack("<ii", 60_000, 60_000)
    with pytest.raises(ValueError, match=r"pixels"), opened_image(bytes(data)) as image:
        image.load()
    with pytest.raises(ValueError, match=r"\S"), opened_image(b"no image"):
        pass
