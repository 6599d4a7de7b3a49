"""Files of pretrained networks: which ones there are, where they lie, whether they are whole, how to get them.

Nothing here is called by a measure on its own: a measure is given a file, or it is unavailable. `fetch` runs only when
a person asks for it.
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Literal

import filelock

from cssgan.errors import WeightsError
from cssgan.storage.files import make_folder

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 60.0
Progress = Callable[[int, int | None], None]
"""Called with (bytes that are there, bytes in all or None where the server does not say)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsFile:
    """One published file of weights.

    Args:
        name: what the command line calls it.
        filename: as its publisher calls it.
        url: its public home.
        sha256: of the whole file, in hex; None where no digest is known, which then is said aloud.
        num_bytes: its length, None where it is not known.
        needed_for: the measures that stand on it.
        origin: who published it, and how the digest is known.
    """

    name: str
    filename: str
    url: str
    sha256: str | None
    num_bytes: int | None
    needed_for: str
    origin: str


KNOWN: tuple[WeightsFile, ...] = (
    WeightsFile(
        name="inception",
        filename="inception-2015-12-05.pt",
        url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
        sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        num_bytes=95_607_719,
        needed_for="inception_score, fid, kid",
        origin="Inception-v3 of 2015-12-05 as TorchScript, by NVIDIA (StyleGAN2-ADA), which clean-fid fetches too; the "
        "digest is the one that several public projects pin, k-diffusion among them",
    ),
    WeightsFile(
        name="i3d",
        filename="i3d_torchscript.pt",
        url="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
        sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        num_bytes=51_235_320,
        needed_for="fvd16, fvd32, kvd16, kvd32",
        origin="I3D of Kinetics-400, TF-hub version, as TorchScript, by the authors of StyleGAN-V; the digest is the one "
        "that several public projects pin",
    ),
    WeightsFile(
        name="lpips",
        filename="vgg16.pt",
        url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/vgg16.pt",
        sha256="b437eb095feaeb0b83eb3fa11200ebca4548ee39a07fb944a417ddc516cc07c3",
        num_bytes=None,
        needed_for="lpips",
        origin="VGG-16 with the linear layers of LPIPS as TorchScript, by NVIDIA (StyleGAN2-ADA); the digest is the one "
        "that two public projects pin",
    ),
)
Name = Literal["inception", "i3d", "lpips"]
State = Literal["missing", "whole", "another file", "unfinished"]


def known(name: str) -> WeightsFile:
    """The file of that name. Raises WeightsError with the allowed ones."""
    for file in KNOWN:
        if file.name == name:
            return file
    raise WeightsError(f"weights: got {name!r}, allowed: {', '.join(file.name for file in KNOWN)}")


def folder() -> Path:
    """Where weights lie: $CSSGAN_WEIGHTS, else $XDG_DATA_HOME/cssgan/weights, else ~/.local/share/cssgan/weights."""
    if chosen := os.environ.get("CSSGAN_WEIGHTS"):
        return Path(chosen)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "cssgan" / "weights"


def path_of(file: WeightsFile, where: Path | None = None) -> Path:
    return (where or folder()) / file.filename


def sha256_of(path: Path) -> str:
    """Digest of a file in hex. Raises WeightsError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}; give the file of a network's weights") from error


def state(file: WeightsFile, where: Path | None = None) -> State:
    """How its file stands in the folder; ``another file``: its length or its digest is not the pinned one."""
    path = path_of(file, where)
    if not path.exists():
        return "unfinished" if _part(path).exists() else "missing"
    if file.num_bytes is not None and path.stat().st_size != file.num_bytes:
        return "another file"
    return "whole" if file.sha256 is None or sha256_of(path) == file.sha256 else "another file"


def found(name: Name, given: Path | None = None, where: Path | None = None) -> tuple[Path, str] | None:
    """The file for a measure and its digest, or None where there is none.

    Args:
        given: the path that the user named: it must exist, and may be any network of the same signature (its digest
            stands in every protocol). Without it, the file in the folder of weights, which must be the pinned one.

    Raises:
        WeightsError: `given` is not there, or the file in the folder is another than the pinned one.
    """
    if given is not None:
        return given, sha256_of(given)
    file = known(name)
    path = path_of(file, where)
    if not path.exists():
        return None
    digest = sha256_of(path)
    if file.sha256 is not None and digest != file.sha256:
        raise WeightsError(
            f"{path}: its sha256 is {digest[:16]}..., that of {file.name} is {file.sha256[:16]}...; delete it and run "
            f"`cssgan weights fetch {file.name}`, or name another network on purpose with --{file.name} PATH"
        )
    return path, digest


def fetch(
    file: WeightsFile, where: Path | None = None, *, url: str | None = None, progress: Progress | None = None
) -> Path:
    """Download a file, going on where an earlier try stopped; it gets its name only once its digest is right.

    Args:
        url: another home for the same file.

    Returns:
        Its path; nothing is downloaded if it lies there whole.

    Raises:
        WeightsError: the server cannot be reached or refuses, or what came is another file.
    """
    path = path_of(file, where)
    make_folder(path.parent)
    with filelock.FileLock(path.with_name(f"{path.name}.lock")):
        if state(file, where) == "whole":
            return path
        part = _part(path)
        _download(file, url or file.url, part, progress)
        if file.sha256 is not None and (digest := sha256_of(part)) != file.sha256:
            part.unlink()
            raise WeightsError(
                f"{url or file.url}: what came has sha256 {digest[:16]}..., allowed: {file.sha256[:16]}...; it was "
                "deleted; try again, or get the file by hand and name it with its option"
            )
        part.replace(path)
    return path


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _download(file: WeightsFile, url: str, part: Path, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    if file.num_bytes is not None and have >= file.num_bytes:
        have = 0  # longer than the file, or whole and wrong: nothing to go on from
    request = urllib.request.Request(url, headers={"User-Agent": "cssgan"} | _range(have))
    hint = f"run `cssgan weights fetch {file.name}` again to go on"
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            _write(answer, part, have, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the range begins past the end: what lies here is not a part of that file
            part.unlink()
            raise WeightsError(f"{url}: the part that lay here did not fit the file and was deleted; {hint}") from error
        raise WeightsError(f"{url}: the server answered {error.code} {error.reason}; {hint}") from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(f"{url}: cannot be reached ({reason}); what came is kept, {hint}") from error


def _range(have: int) -> dict[str, str]:
    return {"Range": f"bytes={have}-"} if have else {}


def _write(answer: HTTPResponse, part: Path, have: int, progress: Progress | None) -> None:
    if answer.status != 206:
        have = 0  # the server sends the whole file, whatever was asked
    length = answer.headers.get("Content-Length")
    total = have + int(length) if length else None
    with part.open("ab" if have else "wb") as out:
        while chunk := answer.read(CHUNK_BYTES):
            out.write(chunk)
            have += len(chunk)
            if progress is not None:
                progress(have, total)
        out.flush()
        os.fsync(out.fileno())
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")
