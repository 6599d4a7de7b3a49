"""Values of files that other people or programs made: one bounded reader for each kind of value.

| kind of value | reader |
| --- | --- |
| the bytes of a file, UTF-8 text | `read_limited`, `read_text`, `text_of_bytes` |
| JSON | `parse_json`, `parse_json_object`, `read_json`, `read_json_object` |
| whole numbers, seconds | `int_of_text`, `seconds_of_text`, `count_of_json`, `number_of_json` |
| web addresses | `web_address_fault` |
| NumPy arrays (.npy, .npz) | `parse_npy`, `read_npz` |
| parquet tables | `read_parquet` |
| sound files | `read_sound` |

Frame rates are in `frame_rate`, images in `image_file` and `picture`, shards in `tar_reader`, CSV tables in `csv_table`.

All of them raise `ValueError` for what they refuse and `OSError` for a file that cannot be opened. The caller turns these into its
own error with the name of the file. Sizes are compared with limits before memory is allocated or text is converted.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import tokenize
import urllib.parse
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

MAX_JSON_BYTES = 256_000_000
"""The index of a large dataset has tens of megabytes."""
MAX_JSON_DEPTH = 64
"""Our own files have less than ten levels, an info.json of yt-dlp about eight."""
_INT64 = 1 << 63
MAX_ARRAY_BYTES = 1 << 31
MAX_TABLE_BYTES = 1 << 32
"""Of the columns of a parquet table in memory, by its footer."""
MAX_SOUND_VALUES = 1 << 29
"""Samples times channels: three hours of mono at 48 kHz, 2 GB as float32."""
MAX_ADDRESS_CHARS = 4_096
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_limited(path: Path, max_bytes: int) -> bytes:
    """The content of a file. Raises `ValueError` if it is longer than `max_bytes`; the rest is not read."""
    with path.open("rb") as file:
        return read_limited_stream(file, max_bytes)


def read_limited_stream(file: IO[bytes], max_bytes: int) -> bytes:
    """The rest of an open file. Raises as `read_limited`."""
    data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"more than {max_bytes:,} bytes")
    return data


def text_of_bytes(data: bytes) -> str:
    """UTF-8 text, with or without a byte order mark. Raises `ValueError` for other encodings, and for text with NUL characters."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError("UTF-16 text, allowed: UTF-8; save it with the encoding UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"not UTF-8 text ({error.reason} at byte {error.start}); save it with the encoding UTF-8"
        ) from error
    if "\0" in text:
        raise ValueError(f"a NUL character in line {text.count(chr(10), 0, text.index(chr(0))) + 1}; not a text file")
    return text


def read_text(path: Path, max_bytes: int) -> str:
    """The text of a file; as `read_limited` and `text_of_bytes`."""
    return text_of_bytes(read_limited(path, max_bytes))


# --- JSON ----------------------------------------------------------------------------------------------------------


def parse_json(data: bytes | str, *, max_bytes: int = MAX_JSON_BYTES, any_numbers: bool = False) -> Any:
    """The value of a JSON text: UTF-8, with or without a byte order mark.

    * At most `MAX_JSON_DEPTH` levels, so that no later step of any depth exceeds the recursion limit.
    * Numbers are finite, and whole numbers fit into 64 bits with a sign.
    * Half of a surrogate pair becomes U+FFFD, since no file can store it.

    Args:
        any_numbers: accept ``NaN``, infinity, and longer whole numbers. Logs and reports of metrics contain them; where a single
            value must not refuse the whole file, the caller checks the numbers that it uses.

    Raises:
        ValueError: anything else.
    """
    if len(data) > max_bytes:
        raise ValueError(f"more than {max_bytes:,} bytes")
    text = data.decode("utf-8-sig") if isinstance(data, bytes) else data.removeprefix("\ufeff")
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"nested deeper than {MAX_JSON_DEPTH} levels") from None
    if check_values(value, any_numbers=any_numbers):
        value = _without_surrogates(value)
    return value


def parse_json_object(
    data: bytes | str, *, max_bytes: int = MAX_JSON_BYTES, any_numbers: bool = False
) -> dict[str, Any]:
    """As `parse_json`; raises `ValueError` for another value than an object."""
    value = parse_json(data, max_bytes=max_bytes, any_numbers=any_numbers)
    if not isinstance(value, dict):
        raise ValueError(f"got {_kind(value)}, allowed: a JSON object")
    return cast("dict[str, Any]", value)


def read_json(path: Path, *, max_bytes: int = MAX_JSON_BYTES, any_numbers: bool = False) -> Any:
    """The value of a JSON file; as `parse_json`."""
    return parse_json(read_limited(path, max_bytes), max_bytes=max_bytes, any_numbers=any_numbers)


def read_json_object(path: Path, *, max_bytes: int = MAX_JSON_BYTES, any_numbers: bool = False) -> dict[str, Any]:
    """The object of a JSON file; as `parse_json_object`."""
    return parse_json_object(read_limited(path, max_bytes), max_bytes=max_bytes, any_numbers=any_numbers)


def _kind(value: object) -> str:
    names: dict[type, str] = {type(None): "null", list: "a list", dict: "an object", str: "text", bool: "a boolean"}
    return names.get(type(value), "a number")


def check_values(value: object, *, any_numbers: bool = False) -> bool:
    """Check a value of JSON or TOML against the limits of `parse_json`. Raises `ValueError` for what exceeds one.

    Returns:
        Whether a text in it has half of a surrogate pair.
    """
    level, found = [value], False
    for _ in range(MAX_JSON_DEPTH):
        below: list[object] = []
        for one in level:
            if isinstance(one, str):
                found = found or (not one.isascii() and _SURROGATE.search(one) is not None)
            elif isinstance(one, dict):
                fields = cast("dict[str, object]", one)
                below += fields.values()
                below += [name for name in fields if not name.isascii()]
            elif isinstance(one, list):
                below += cast("list[object]", one)
            elif any_numbers:
                continue
            elif isinstance(one, int):
                if not -_INT64 <= one < _INT64:
                    raise ValueError("a whole number of more than 64 bits")
            elif isinstance(one, float) and not math.isfinite(one):
                raise ValueError("a number that is not finite")
        if not below:
            return found
        level = below
    raise ValueError(f"nested deeper than {MAX_JSON_DEPTH} levels")


def _without_surrogates(value: Any) -> Any:
    """Recursive: `value` has at most `MAX_JSON_DEPTH` levels."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(one) for one in cast("list[Any]", value)]
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {_without_surrogates(name): _without_surrogates(one) for name, one in fields.items()}
    return value


# --- numbers -------------------------------------------------------------------------------------------------------


def count_of_json(value: object) -> int:
    """A whole number from 0 on in a JSON or parquet field. Raises `ValueError` for any other value, also for booleans."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _INT64:
        raise ValueError(f"got {_shown(value)}, allowed: a whole number from 0 on")
    return value


def number_of_json(value: object) -> float:
    """A finite number in a JSON or parquet field. Raises `ValueError` for any other value, also for booleans and text."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= 1e300:
        raise ValueError(f"got {_shown(value)}, allowed: a number")
    return float(value)


def _shown(value: object) -> str:
    """Short text of a value; the digits of a long number are not written out."""
    if isinstance(value, int) and abs(value) >= _INT64:
        return "a whole number of more than 64 bits"
    return repr(value)[:40] if isinstance(value, int | float | str) else _kind(value)


def int_of_text(text: str, *, max_digits: int = 18) -> int:
    """A whole number from 0 on, in the digits 0 to 9. Raises `ValueError` for any other text."""
    if not re.fullmatch(rf"[0-9]{{1,{max_digits}}}", text.strip(" ")):
        raise ValueError(f"got {text[:40]!r}, allowed: a whole number of at most {max_digits} digits")
    return int(text)


_SECONDS = re.compile(r"[+-]?([0-9]{1,9}(\.[0-9]{0,15})?|\.[0-9]{1,15})(e[+-]?[0-9]{1,2})?", re.IGNORECASE)


def seconds_of_text(text: str) -> float:
    """A finite number of seconds, ``12``, ``-0.5`` or ``1.5e-3``. Raises `ValueError` for any other text: no ``nan``, ``inf``, ``1_0``."""
    if not _SECONDS.fullmatch(text.strip()):
        raise ValueError(f"got {text[:40]!r}, allowed: seconds, e.g. 12.5")
    return float(text)


# --- web addresses -------------------------------------------------------------------------------------------------


def web_address_fault(address: str) -> str:
    """Why no request can be sent to an http or https address; empty if one can."""
    if len(address) > MAX_ADDRESS_CHARS:
        return f"an address of {len(address):,} characters, allowed: up to {MAX_ADDRESS_CHARS:,}"
    if any(char.isspace() or not char.isprintable() for char in address):
        return "an address with a space or control character, allowed: %20 instead of a space"
    try:
        parts = urllib.parse.urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"an invalid address ({error})"
    if not host:
        return "an address without a host"
    try:
        # Names of more than 63 characters between dots, and empty ones, have no such form.
        if ":" not in host and len(host.encode("idna")) > 253:
            return "a host name of more than 253 characters"
    except UnicodeError as error:
        return f"an invalid host name ({error})"
    return ""


def split_address(address: str) -> urllib.parse.SplitResult:
    """The parts of a text that can be an address; one that cannot be divided, as ``x://[``, is all path."""
    try:
        return urllib.parse.urlsplit(address)
    except ValueError:
        return urllib.parse.SplitResult("", "", address, "", "")


# --- NumPy arrays --------------------------------------------------------------------------------------------------

_NPY_HEADER_BYTES = 10_000


def parse_npy(content: bytes | memoryview, *, max_bytes: int = MAX_ARRAY_BYTES) -> NDArray[Any]:
    """The array of a ``.npy`` file. The shape in its header must agree with the length of its content.

    Raises:
        ValueError: not such a file, objects (which would be unpickled), truncated, or larger than `max_bytes`.
    """
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"format version {version[0]}.{version[1]}, allowed: 1.0 and 2.0")
        shape, is_fortran, dtype = read(file, max_header_size=_NPY_HEADER_BYTES)
    except (
        SyntaxError,
        TypeError,
        RecursionError,
        MemoryError,
        EOFError,
        KeyError,
        OverflowError,
        struct.error,
        tokenize.TokenError,
    ) as error:
        raise ValueError(f"a damaged .npy header ({type(error).__name__})") from error
    if dtype.hasobject:
        raise ValueError("a .npy file with Python objects, allowed: numbers")
    if any(isinstance(side, bool) or side < 0 for side in shape) or len(shape) > 32:
        raise ValueError("a .npy header with an invalid shape")
    if not dtype.itemsize:
        raise ValueError("a .npy file with values of no bytes")
    announced = math.prod(shape) * dtype.itemsize
    stored = len(content) - file.tell()
    if announced > max_bytes:
        raise ValueError(f"an array of {announced:,} bytes, allowed: up to {max_bytes:,}")
    if announced > stored or max(shape, default=0) >= _INT64:
        raise ValueError(f"an array of {announced:,} bytes in a file with {stored:,}")
    if not announced:
        return np.empty(shape, dtype)
    array = np.frombuffer(content, dtype, math.prod(shape), file.tell())
    return array.reshape(shape, order="F" if is_fortran else "C").copy(order="K")


def read_npz(path: Path, *, max_bytes: int = MAX_ARRAY_BYTES) -> dict[str, NDArray[Any]]:
    """The arrays of a ``.npz`` file by name.

    Raises:
        ValueError: not such a file, damaged, or more than `max_bytes` when decompressed.
    """
    arrays: dict[str, NDArray[Any]] = {}
    data = read_limited(path, max_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                with archive.open(info) as member:
                    # The directory of the archive can announce another size.
                    content = read_limited_stream(member, max_bytes - sum(array.nbytes for array in arrays.values()))
                arrays[info.filename.removesuffix(".npy")] = parse_npy(content, max_bytes=max_bytes)
    except (
        zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError, OverflowError, struct.error, KeyError,
    ) as error:  # fmt: skip
        raise ValueError(f"not a whole .npz file ({error})") from error
    return arrays


# --- parquet -------------------------------------------------------------------------------------------------------


def read_parquet(source: Path | bytes, *, max_bytes: int = MAX_TABLE_BYTES) -> Any:
    """The `pyarrow.Table` of a parquet file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not such a file, damaged, text that is not UTF-8, or more than `max_bytes` in memory. One line.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(source) if isinstance(source, bytes) else source)
        groups = [file.metadata.row_group(number).total_byte_size for number in range(file.metadata.num_row_groups)]
        if (size := sum(groups)) > max_bytes or min(groups, default=0) < 0:
            raise ValueError(f"a table of {size:,} bytes, allowed: up to {max_bytes:,}")
        table = file.read()
        table.validate(full=True)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(one_line(error)) from error
    return table


def rows_of_table(table: Any) -> list[dict[str, Any]]:
    """The rows of a `pyarrow.Table` as Python values. Raises `ValueError` for values without one, such as times out of range."""
    import pyarrow as pa

    try:
        return cast("list[dict[str, Any]]", table.to_pylist())
    except (pa.ArrowException, ValueError, KeyError, TypeError, OverflowError, ImportError) as error:
        raise ValueError(one_line(error)) from error


def one_line(error: BaseException) -> str:
    """The message of an error without its line breaks; its class if it has none."""
    return " ".join(str(error).split())[:500] or type(error).__name__


# --- sound ---------------------------------------------------------------------------------------------------------


_UNKNOWN_FRAMES = 1 << 62
"""libsndfile's number for a stream whose header has none."""


def read_sound(
    source: Path | bytes, *, dtype: Literal["float32", "float64"] = "float32", max_values: int = MAX_SOUND_VALUES
) -> tuple[NDArray[Any], int]:
    """A file of any format that libsndfile reads -> (samples (N, C), sample rate in Hz).

    A header that announces too much is refused. It is not trusted either: the file is read in blocks.

    Raises:
        ValueError: not such a file, damaged, more than `max_values` samples in all channels, or a rate of 0 Hz.
    """
    import soundfile

    blocks: list[NDArray[Any]] = []
    num_values = 0
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            rate_hz, channels = file.samplerate, file.channels
            if rate_hz < 1 or channels < 1:
                raise ValueError(f"{rate_hz} Hz and {channels} channels, allowed: at least 1")
            if max_values < file.frames * channels and file.frames < _UNKNOWN_FRAMES:
                raise ValueError(f"{file.frames} samples of {channels} channels, allowed: up to {max_values:,} in all")
            size = max(1, (1 << 22) // channels)
            while True:
                block = cast("NDArray[Any]", file.read(size, dtype=dtype, always_2d=True))
                if not len(block):
                    break
                num_values += block.size
                if num_values > max_values:
                    raise ValueError(f"more than {max_values:,} samples; cut it into shorter files")
                blocks.append(block)
    # soundfile's errors derive from RuntimeError.
    except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(one_line(error)) from error
    if not blocks:
        return np.zeros((0, channels), dtype), rate_hz
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks), rate_hz
