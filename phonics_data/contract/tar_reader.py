"""Reading of tar shards in WebDataset form, from a disk or an address, as a stream or by byte range.

* An address is anything of `phonics_data.contract.address`. Failures of the network or the server are retried after
  `RETRY_SECONDS`.
* Streams may be compressed (gzip, bzip2, xz). Byte ranges need a plain tar and, over HTTP, a server with range requests.
* Members are grouped into samples as webdataset does: the key of a member is its name up to the first dot of the base name,
  and consecutive members of one key form a sample. A key that occurs again later starts another sample.
* Members without a key (``README``, and ``.DS_Store`` and ``._x.npy`` of macOS) are left out, with a warning.
* A damaged header and data after the end marker are errors, where `tarfile` would end as if the shard were complete.
* Members are read and never extracted, so names such as ``../../x`` reach no file system.
"""

from __future__ import annotations

import http.client
import io
import logging
import lzma
import re
import tarfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from tarfile import InvalidHeaderError, ReadError, TruncatedHeaderError  # type: ignore[attr-defined]
from typing import IO, Any, TypeVar, cast

from phonics_data.contract.address import file_system, is_address, is_http, remote_errors, shown
from phonics_data.errors import DatasetError

RETRY_SECONDS = (1.0, 5.0, 20.0)
"""Waits before the second, third and fourth request for a shard at an address."""
_TIMEOUT_SECONDS = 60.0
MAX_MEMBER_BYTES = 1 << 31
"""A clip of a minute at 256 x 256 has 0.4 GB; a damaged or malicious header can announce any size."""
_BUFFER_BYTES = 1 << 16
_MEMBER_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)")
_RESERVED_NAME = re.compile(r"__[^/]*__(/|$)")
"""Members that WebDataset reserves for metadata of the shard; they belong to no sample."""
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
log = logging.getLogger("phonics_data")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TarSample:
    """The members of one sample.

    Args:
        key: see above.
        members: name without the key, in lower case -> content.
        offset, num_bytes: the range of the (decompressed) tar that holds the headers and contents of the members.
    """

    key: str
    members: dict[str, bytes]
    offset: int
    num_bytes: int


def open_stream(source: Path | str) -> IO[bytes]:
    """A file or address as a stream of bytes, to be read forwards. Raises OSError, and what
    `phonics_data.contract.address.file_system` raises."""
    address = str(source)
    if not is_address(address):
        return Path(address).open("rb")
    if is_http(address):
        # The standard library streams these; fsspec would need one more package for them.
        return cast("IO[bytes]", urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS))
    system, path = file_system(address)
    with remote_errors():
        return cast("IO[bytes]", system.open(path, "rb"))


def read_samples(
    source: Path | str, *, num_bytes: int | None = None, wanted: Callable[[str], bool] | None = None
) -> Iterator[TarSample]:
    """The samples of one shard, in file order. After a retry, samples that were already yielded are not repeated.

    Args:
        num_bytes: size of the file, if it is known: an answer of a server that ends early between two members is then noticed.
        wanted: whether a sample of this key is read; the members of others are skipped.

    Raises:
        DatasetError: not a tar, damaged, truncated, unreachable, members but no sample, or a member that occurs twice in a
            sample; the message names the shard.
    """
    return _with_retries(str(source), partial(_read_once, str(source), num_bytes, wanted))


def read_sample(source: Path | str, key: str, offset: int, num_bytes: int) -> dict[str, bytes]:
    """The members of the sample at a byte range that `read_samples` reported.

    Raises:
        DatasetError: the range holds something else, or cannot be read; the message names the shard.
    """
    content = read_range(source, offset, num_bytes)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:", tarinfo=_CheckedHeader) as tar:
            found = list(_grouped(tar, shown(str(source)), None))
    except tarfile.TarError:
        found = []
    if [sample.key for sample in found] != [key]:
        raise DatasetError(
            f"{shown(str(source))}: no longer holds sample {key} at byte {offset}; shards must not change during a run, start it again"
        )
    return found[0].members


def read_range(source: Path | str, offset: int, num_bytes: int) -> bytes:
    """Bytes `offset` .. `offset` + `num_bytes` - 1; fewer at the end of a local file.

    Raises:
        DatasetError: unreachable, or a server without range requests.
    """
    (content,) = _with_retries(str(source), partial(_read_range_once, str(source), offset, num_bytes))
    return content


def copy_file(source: Path | str, target: Path) -> None:
    """Copy a file or the file at an address to `target`, which is overwritten.

    Raises:
        FileNotFoundError: no such file.
        DatasetError: it cannot be read; failures that may be temporary are retried before.
    """

    def copy_once() -> Iterator[None]:
        try:
            with open_stream(source) as opened, target.open("wb") as file:
                stream = _CountingStream(opened)
                while data := stream.read(1 << 20):
                    file.write(data)
        except FileNotFoundError:
            raise
        except urllib.error.HTTPError as error:
            if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
                raise FileNotFoundError(f"{shown(str(source))}: no such file") from error
            raise _unreadable(str(source), error) from error
        except _READ_ERRORS as error:
            raise _unreadable(str(source), error) from error
        yield None

    for _ in _with_retries(str(source), copy_once):
        pass


def check_random_access(source: Path | str) -> None:
    """Raises `DatasetError` for a compressed shard and for a server without range requests."""
    if read_range(source, 0, tarfile.BLOCKSIZE).startswith(_COMPRESSED):
        raise DatasetError(
            f"{shown(str(source))}: compressed shards cannot be read in random order; decompress it, or use --set data.loader=resident"
        )


def _with_retries(address: str, read: Callable[[], Iterator[T]]) -> Iterator[T]:
    """The items of ``read()``; when it fails for a reason that may be temporary, it is called again and read items are skipped."""
    pauses = iter(RETRY_SECONDS if is_address(address) else ())
    num_done = 0
    while True:
        try:
            for item in islice(read(), num_done, None):
                num_done += 1
                yield item
        except DatasetError as error:
            pause = next(pauses, None)
            if pause is None or not _is_temporary(error.__cause__):
                raise
            log.warning("%s: %s; retrying in %.0f s", shown(address), shown(str(error.__cause__)), pause)
            time.sleep(pause)
        else:
            return


def _is_temporary(cause: BaseException | None) -> bool:
    """Whether a retry may help: not after an answer that rejects the request itself."""
    if isinstance(cause, urllib.error.HTTPError):
        return cause.code >= 500 or cause.code in (408, 429)
    if isinstance(cause, PermissionError):
        return False
    return isinstance(cause, (tarfile.TarError, OSError, EOFError, http.client.HTTPException))


def _unreadable(address: str, error: Exception) -> DatasetError:
    advice = "run `phonics-data verify` on its dataset"
    if isinstance(error, PermissionError) and is_address(address):
        advice = (
            "its library needs credentials that may read it (AWS_* variables or ~/.aws, `hf auth login` or HF_TOKEN)"
        )
    elif is_address(address):
        advice = f"if its server or the network failed, run the same command again; otherwise {advice}"
    problem = "not a whole tar file" if isinstance(error, (tarfile.TarError, EOFError)) else "cannot be read"
    return DatasetError(f"{shown(address)}: {problem} ({shown(str(error)) or type(error).__name__}); {advice}")


_READ_ERRORS = (
    tarfile.TarError, OSError, EOFError, http.client.HTTPException, ValueError, ImportError, OverflowError, IndexError,
    RecursionError, zlib.error, lzma.LZMAError,
)  # fmt: skip


def _read_once(address: str, num_bytes: int | None, wanted: Callable[[str], bool] | None) -> Iterator[TarSample]:
    try:
        with open_stream(address) as opened:
            stream = _CountingStream(opened)
            with tarfile.open(
                fileobj=cast("IO[bytes]", stream), mode="r|*", bufsize=_BUFFER_BYTES, tarinfo=_CheckedHeader
            ) as tar:
                yield from _grouped(tar, shown(address), wanted)
                _check_end(tar)
            if num_bytes is not None and stream.read_to_end() < num_bytes:
                raise EOFError(f"{stream.num_bytes} of {num_bytes} bytes received")
    except FileNotFoundError:
        raise DatasetError(f"{shown(address)}: no such shard") from None
    except _READ_ERRORS as error:
        raise _unreadable(address, error) from error


def _read_range_once(address: str, offset: int, num_bytes: int) -> Iterator[bytes]:
    try:
        content = _range_of(address, offset, num_bytes)
        if is_address(address) and len(content) < num_bytes:
            raise EOFError(f"{len(content)} of {num_bytes} bytes received")
    except FileNotFoundError:
        raise DatasetError(f"{shown(address)}: no such shard") from None
    except _READ_ERRORS as error:
        raise _unreadable(address, error) from error
    yield content


def _range_of(address: str, offset: int, num_bytes: int) -> bytes:
    if not is_address(address):
        with Path(address).open("rb") as file:
            file.seek(offset)
            return file.read(num_bytes)
    if not is_http(address):
        system, path = file_system(address)
        with remote_errors():
            return bytes(system.cat_file(path, start=offset, end=offset + num_bytes))
    request = urllib.request.Request(address, headers={"Range": f"bytes={offset}-{offset + num_bytes - 1}"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            raise DatasetError(
                f"{shown(address)}: its server does not support range requests, which reading in random order needs; use "
                "--set data.loader=resident, or copy the dataset to a disk"
            )
        return answer.read()


class _CheckedHeader(tarfile.TarInfo):
    """A header of which damage is an error: `tarfile` ends at it as at the end of the archive, unless it is the first one."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _CheckedHeader:
        try:
            return super().fromtarfile(tarfile)
        except (InvalidHeaderError, TruncatedHeaderError) as error:
            raise ReadError(f"{error} at byte {tarfile.offset}") from error


def _check_end(tar: tarfile.TarFile) -> None:
    """Raises `ReadError` for data after the end marker: a header that was overwritten with zeros, or joined archives."""
    stream = cast("IO[bytes]", tar.fileobj)
    while block := stream.read(_BUFFER_BYTES):
        if block.strip(b"\0"):
            raise ReadError("data after the end marker")


def _grouped(tar: tarfile.TarFile, address: str, wanted: Callable[[str], bool] | None) -> Iterator[TarSample]:
    """The samples of an open tar."""
    key, members, offset, end = "", dict[str, bytes](), 0, 0
    without_key: list[str] = []
    num_samples = 0
    for info in tar:
        cast("Any", tar).members = []  # tarfile would keep every header
        if not info.isfile() or _RESERVED_NAME.match(info.name):
            continue
        match = _MEMBER_NAME.fullmatch(info.name)
        if match is None:
            without_key.append(info.name[:100])
            continue
        if match[1] != key:
            num_samples += 1
            if members:
                yield TarSample(key=key, members=members, offset=offset, num_bytes=end - offset)
            key, members, offset = match[1], {}, info.offset
        if wanted is not None and not wanted(key):
            continue
        name = match[2].lower()
        if name in members:
            raise DatasetError(f"{address}: sample {key}: member {name} occurs twice; write the shard again")
        if info.size > MAX_MEMBER_BYTES or info.issparse():
            raise DatasetError(
                f"{address}: member {info.name[:100]!r} is {'sparse' if info.issparse() else f'{info.size:,} bytes'}, allowed: plain "
                f"files up to {MAX_MEMBER_BYTES:,} bytes; is this a dataset shard?"
            )
        content = tar.extractfile(info)
        assert content is not None  # info.isfile()
        members[name] = content.read()
        end = tar.offset
    if members:
        yield TarSample(key=key, members=members, offset=offset, num_bytes=end - offset)
    if without_key and not num_samples:
        raise DatasetError(f"{address}: member {without_key[0]!r} has no sample key; is this a dataset shard?")
    if without_key:
        log.warning(
            "%s: %d members without a sample key are left out, the first: %s", address, len(without_key), without_key[0]
        )


class _CountingStream:
    """A stream that counts the bytes that were read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.num_bytes = 0

    def read(self, size: int) -> bytes:
        with remote_errors():
            data = self._stream.read(size)
        self.num_bytes += len(data)
        return data

    def read_to_end(self) -> int:
        """The number of bytes of the whole stream."""
        while self.read(1 << 20):
            pass
        return self.num_bytes
