"""Files of pretrained networks: which are known, where they are stored, verification, download.

Metrics never download files: a metric without its file is unavailable. `fetch` runs only if a user calls it.
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
"""Called with (bytes received, total bytes, or None if the server does not send the length)."""
Name = Literal["inception", "i3d", "lpips"]
Status = Literal["missing", "complete", "wrong file", "incomplete"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightsFile:
    """One published file of weights.

    Args:
        name: name on the command line.
        filename: name at the publisher.
        url: public address.
        sha256: of the whole file, hexadecimal.
        num_bytes: length; None if it is not known.
        needed_for: the metrics that need it.
        origin: the publisher, and the source of the digest.
    """

    name: str
    filename: str
    url: str
    sha256: str
    num_bytes: int | None
    needed_for: str
    origin: str


WEIGHTS_FILES: tuple[WeightsFile, ...] = (
    WeightsFile(
        name="inception",
        filename="inception-2015-12-05.pt",
        url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
        sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        num_bytes=95_607_719,
        needed_for="inception_score, fid, kid",
        origin="Inception-v3 of 2015-12-05 as TorchScript, by NVIDIA (StyleGAN2-ADA), also used by clean-fid; the digest "
        "is pinned by several public projects, for example k-diffusion",
    ),
    WeightsFile(
        name="i3d",
        filename="i3d_torchscript.pt",
        url="https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
        sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        num_bytes=51_235_320,
        needed_for="fvd16, fvd32, kvd16, kvd32",
        origin="I3D of Kinetics-400, TF-hub version, as TorchScript, by the authors of StyleGAN-V; the digest is pinned "
        "by several public projects",
    ),
    WeightsFile(
        name="lpips",
        filename="vgg16.pt",
        url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/vgg16.pt",
        sha256="b437eb095feaeb0b83eb3fa11200ebca4548ee39a07fb944a417ddc516cc07c3",
        num_bytes=None,
        needed_for="lpips",
        origin="VGG-16 with the linear layers of LPIPS as TorchScript, by NVIDIA (StyleGAN2-ADA); the digest is pinned "
        "by two public projects",
    ),
)


def weights_file(name: str) -> WeightsFile:
    """The file of that name. Raises WeightsError with the allowed names."""
    for file in WEIGHTS_FILES:
        if file.name == name:
            return file
    raise WeightsError(f"weights: got {name!r}, allowed: {', '.join(file.name for file in WEIGHTS_FILES)}")


def weights_folder() -> Path:
    """$CSSGAN_WEIGHTS, else $XDG_DATA_HOME/cssgan/weights, else ~/.local/share/cssgan/weights."""
    if chosen := os.environ.get("CSSGAN_WEIGHTS"):
        return Path(chosen)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "cssgan" / "weights"


def path_of(file: WeightsFile, folder: Path | None = None) -> Path:
    return (folder or weights_folder()) / file.filename


def sha256_of(path: Path) -> str:
    """Digest of a file, hexadecimal. Raises WeightsError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}; give the weights file of a network") from error


def status(file: WeightsFile, folder: Path | None = None) -> Status:
    """Status of a file in the folder; ``wrong file``: the length or digest is not the pinned one."""
    path = path_of(file, folder)
    if not path.exists():
        return "incomplete" if _part(path).exists() else "missing"
    if file.num_bytes is not None and path.stat().st_size != file.num_bytes:
        return "wrong file"
    return "complete" if sha256_of(path) == file.sha256 else "wrong file"


def find(name: Name, given: Path | None = None, folder: Path | None = None) -> tuple[Path, str] | None:
    """The weights file of a network and its digest; None if there is none.

    Args:
        given: path given by the user. It can be any network with the same signature, because its digest is part of
            the protocol of every result. None: the file in the folder, which must have the pinned digest.

    Raises:
        WeightsError: `given` does not exist, or the file in the folder has another digest.
    """
    if given is not None:
        return given, sha256_of(given)
    file = weights_file(name)
    path = path_of(file, folder)
    if not path.exists():
        return None
    digest = sha256_of(path)
    if digest != file.sha256:
        raise WeightsError(
            f"{path}: its sha256 is {digest[:16]}..., that of {file.name} is {file.sha256[:16]}...; delete it and run "
            f"`cssgan weights fetch {file.name}`, or select another network explicitly with --{file.name} PATH"
        )
    return path, digest


def fetch(
    file: WeightsFile, folder: Path | None = None, *, url: str | None = None, progress: Progress | None = None
) -> Path:
    """Download a file, or resume an earlier download. It gets its final name only after its digest is verified.

    Args:
        url: another address of the same file.

    Returns:
        The path; nothing is downloaded if the file is complete.

    Raises:
        WeightsError: the server cannot be reached or reports an error, or the received file has another digest.
    """
    path = path_of(file, folder)
    make_folder(path.parent)
    with filelock.FileLock(path.with_name(f"{path.name}.lock")):
        if status(file, folder) == "complete":
            return path
        part = _part(path)
        _download(file, url or file.url, part, progress)
        if (digest := sha256_of(part)) != file.sha256:
            part.unlink()
            raise WeightsError(
                f"{url or file.url}: the received file has sha256 {digest[:16]}..., allowed: {file.sha256[:16]}...; it "
                "was deleted; try again, or download the file manually and give its path"
            )
        part.replace(path)
    return path


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _download(file: WeightsFile, url: str, part: Path, progress: Progress | None) -> None:
    offset = part.stat().st_size if part.exists() else 0
    if file.num_bytes is not None and offset >= file.num_bytes:
        offset = 0  # longer than the file, or complete with a wrong digest: cannot be resumed
    headers = {"User-Agent": "cssgan"} | ({"Range": f"bytes={offset}-"} if offset else {})
    hint = f"run `cssgan weights fetch {file.name}` again to resume"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as response:
            _write(response, part, offset, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the range begins after the end: the partial file is not of this file
            part.unlink()
            raise WeightsError(f"{url}: the partial file did not match and was deleted; {hint}") from error
        raise WeightsError(f"{url}: the server answered {error.code} {error.reason}; {hint}") from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(f"{url}: cannot be reached ({reason}); the received part is kept, {hint}") from error


def _write(response: HTTPResponse, part: Path, offset: int, progress: Progress | None) -> None:
    if response.status != 206:
        offset = 0  # the server ignored the range and sends the whole file
    length = response.headers.get("Content-Length")
    total = offset + int(length) if length else None
    with part.open("ab" if offset else "wb") as out:
        while chunk := response.read(CHUNK_BYTES):
            out.write(chunk)
            offset += len(chunk)
            if progress is not None:
                progress(offset, total)
        out.flush()
        os.fsync(out.fileno())
    if total is not None and offset < total:
        raise ConnectionError(f"the connection ended after {offset} of {total} bytes")
