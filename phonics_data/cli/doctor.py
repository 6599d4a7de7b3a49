"""Checks of this machine: packages, programs, their versions, disk space. `phonics-data doctor` prints the results."""

from __future__ import annotations

import http.cookiejar
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

State = Literal["ok", "warning", "missing", "optional"]
"""``warning``: works or may work; ``missing``: a common task cannot work; ``optional``: an optional feature is not installed."""

MAX_YTDLP_AGE_DAYS = 60
"""YouTube changes every few weeks; yt-dlp must follow."""
MIN_DENO = (2, 3, 0)
MIN_NODE = (22, 0, 0)
MIN_FREE_BYTES = 5_000_000_000
"""Disk space for the videos of the bundled manifest at height 240, their clips and shards."""

DISTRIBUTION = "phonics-cssgan"
MODULES = {
    "av": "av",
    "deno": "deno",
    "ffmpeg-python": "ffmpeg",
    "filelock": "filelock",
    "fsspec": "fsspec",
    "imageio-ffmpeg": "imageio_ffmpeg",
    "jinja2": "jinja2",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "opencv-python-headless": "cv2",
    "packaging": "packaging",
    "pandas": "pandas",
    "pillow": "PIL.Image",
    "pyarrow": "pyarrow.parquet",
    "rapidocr": "",  # only its model file is used, see `_check_ocr`
    "rich": "rich",
    "scipy": "scipy.signal",
    "soundfile": "soundfile",
    "soxr": "soxr",
    "typer": "typer",
    "webdataset": "webdataset",
    "webvtt-py": "webvtt",
    "yt-dlp": "yt_dlp",
}
"""Each package of the base install -> the module to import."""

_OPTIONAL = (
    ("faster_whisper", "speech recognition", "pip install faster-whisper"),
    ("pocketsphinx", "forced alignment of words", "pip install pocketsphinx"),
    ("espeakng_loader", "rendered songs", "pip install 'phonics-cssgan[demo]'"),
    ("librosa", "rendered songs and training", "pip install 'phonics-cssgan[train]'"),
    ("torch", "training", "pip install 'phonics-cssgan[train]'"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """Result of one check."""

    name: str
    state: State
    found: str
    advice: str = ""


def examine(
    work: Path,
    *,
    cookies: Path | None = None,
    hosts: Sequence[tuple[str, int]] = (("www.youtube.com", 443),),
    today: date | None = None,
) -> list[Check]:
    """Run all checks.

    Args:
        work: the workspace whose disk is checked; it need not exist.
        cookies: a cookie file to check.
        hosts: (name, port) of servers to connect to.
        today: for the age of yt-dlp; default: the current date.
    """
    return [
        _system(),
        _python(),
        *_packages(),
        _media(),
        _ocr(),
        *_ytdlp(today or datetime.now(UTC).date()),
        _javascript(),
        _ffmpeg(),
        *([_cookies(cookies)] if cookies is not None else []),
        *(_host(name, port) for name, port in hosts),
        _disk(work),
        _gpu(),
        _google(),
        *_optional(),
    ]


def _system() -> Check:
    name = platform.system()
    return Check(
        name="system",
        state="ok" if name == "Linux" else "warning",
        found=f"{name} {platform.release()}",
        advice="" if name == "Linux" else "only Linux is tested; macOS is untested; on Windows use WSL2",
    )


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return Check(
        name="Python",
        state="ok" if good else "missing",
        found=platform.python_version(),
        advice="" if good else "3.11 or newer is required",
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _packages() -> Iterator[Check]:
    """Compare installed versions with this package's metadata, and import each package of the base install."""
    try:
        texts = importlib.metadata.requires(DISTRIBUTION) or []
        extras = importlib.metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        yield Check(
            name="packages",
            state="warning",
            found=f"{DISTRIBUTION} is not installed, so the required versions are unknown",
            advice=f"pip install {DISTRIBUTION}",
        )
        return
    faults = [fault for text in texts for fault in [_package_fault(Requirement(text), extras)] if fault is not None]
    unique = {(fault.name, fault.found): fault for fault in faults}  # a package can be in several extras
    yield from unique.values()
    if not any(fault.state == "missing" for fault in faults):
        yield Check(name="packages", state="ok", found=f"all {len(MODULES)} of the base install can be imported")


def _package_fault(requirement: Requirement, extras: Sequence[str]) -> Check | None:
    """The failed check of one package; None if it passes."""
    is_base = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    if not is_base and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras if requirement.marker):
        return None  # for another Python version or system
    spec = f"{requirement.name}{requirement.specifier}"
    version = _version(requirement.name)
    advice = f"pip install --upgrade '{spec}'"
    if not version:
        return Check(name=requirement.name, state="missing", found="not installed", advice=advice) if is_base else None
    state: State = "missing" if is_base else "warning"
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(name=requirement.name, state=state, found=f"{version}, required: {spec}", advice=advice)
    if is_base and (module := MODULES.get(requirement.name, "")):
        try:
            importlib.import_module(module)
        except Exception as error:  # noqa: BLE001 - a damaged package can raise anything
            found = f"{version} cannot be imported ({_one_line(error)})"
            return Check(
                name=requirement.name, state="missing", found=found, advice=f"pip install --force-reinstall '{spec}'"
            )
    return None


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _media() -> Check:
    """Write a video of a few frames and read it, as the stages do."""
    try:
        from fractions import Fraction

        import numpy as np

        from phonics_data.media import decodes_to_end, probe, write_mp4

        with tempfile.TemporaryDirectory(prefix="phonics-data-doctor-") as folder:
            path = Path(folder) / "video.mp4"
            frames_LHWC = np.zeros((10, 32, 32, 3), np.uint8)
            write_mp4(path, frames_LHWC, Fraction(25), np.zeros(6400, np.float32), 16_000)
            info = probe(path, need_audio=True)
            decodes_to_end(path)
        if info.num_frames != 10:
            raise ValueError(f"10 frames were written, {info.num_frames} were read")
    except Exception as error:  # noqa: BLE001 - any error is the result of the check
        return Check(
            name="video files",
            state="missing",
            found=f"av {_version('av')} cannot write and read a video ({_one_line(error)})",
            advice="pip install --force-reinstall av",
        )
    return Check(name="video files", state="ok", found=f"av {_version('av')} can write and read a video")


def _ocr() -> Check:
    """Recognize a letter with OpenCV, onnxruntime and the model of rapidocr, as `transcribe` does."""
    try:
        import numpy as np

        from phonics_data.ocr.recognizer import LETTERS, LetterRecognizer, model_path

        shape = np.zeros((40, 30), np.uint8)
        shape[:, :8] = shape[32:, :] = 1
        letter = LETTERS[int(LetterRecognizer(model_path()).read([shape])[0].argmax())]
        if letter != "L":
            raise ValueError(f"an L is recognized as {letter}")
    except Exception as error:  # noqa: BLE001 - any error is the result of the check
        return Check(
            name="OCR",
            state="missing",
            found=f"does not work ({_one_line(error)})",
            advice="pip install --force-reinstall opencv-python-headless onnxruntime rapidocr; or --ocr never",
        )
    return Check(name="OCR", state="ok", found="OpenCV and onnxruntime recognize a letter")


def _ytdlp(today: date) -> Iterator[Check]:
    version = _version("yt-dlp")
    update = 'pip install --upgrade "yt-dlp[default]"'
    match = re.match(r"(\d{4})\.(\d{1,2})\.(\d{1,2})", version)
    if match is None:
        yield Check(name="yt-dlp", state="missing", found=version or "not installed", advice=update)
        return
    age = (today - date(int(match[1]), int(match[2]), int(match[3]))).days
    is_old = age > MAX_YTDLP_AGE_DAYS
    yield Check(
        name="yt-dlp",
        state="warning" if is_old else "ok",
        found=f"{version}, {age} days old",
        advice=update if is_old else "",
    )
    scripts = _version("yt-dlp-ejs")
    yield Check(
        name="yt-dlp-ejs",
        state="ok" if scripts else "missing",
        found=scripts or "not installed",
        advice="" if scripts else update,
    )


def _javascript() -> Check:
    """YouTube's player is JavaScript; yt-dlp needs a runtime for it."""
    installed_deno = Path(sys.executable).parent / ("deno.exe" if os.name == "nt" else "deno")
    programs = (
        ("deno", str(installed_deno) if installed_deno.exists() else shutil.which("deno"), MIN_DENO),
        ("node", shutil.which("node"), MIN_NODE),
    )
    too_old: list[str] = []
    for name, path, minimum in programs:
        version = _program_version(path, "--version") if path else None
        if version is None:
            continue
        text = ".".join(map(str, version))
        if version >= minimum:
            return Check(name="JavaScript runtime", state="ok", found=f"{name} {text} at {path}")
        too_old.append(f"{name} {text} is older than {'.'.join(map(str, minimum))}")
    return Check(
        name="JavaScript runtime",
        state="missing",
        found="; ".join(too_old) or "none",
        advice="pip install --upgrade deno",
    )


def _program_version(path: str, flag: str) -> tuple[int, ...] | None:
    try:
        done = subprocess.run([path, flag], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def _ffmpeg() -> Check:
    path = shutil.which("ffmpeg")
    if path is None and importlib.util.find_spec("imageio_ffmpeg") is not None:
        import imageio_ffmpeg

        try:
            path = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError:
            path = None
    version = _program_version(path, "-version") if path else None
    if path is None or version is None:
        return Check(name="ffmpeg", state="missing", found="none", advice="pip install imageio-ffmpeg")
    import ffmpeg

    try:
        picture = ffmpeg.input("testsrc=size=16x16:duration=0.1", format="lavfi")
        picture.output("pipe:", format="null").run(cmd=path, quiet=True)
    except ffmpeg.Error:
        return Check(name="ffmpeg", state="missing", found=f"{path}: fails", advice="pip install imageio-ffmpeg")
    return Check(name="ffmpeg", state="ok", found=f"{'.'.join(map(str, version))} at {path}")


def _cookies(path: Path) -> Check:
    """Count the cookies of YouTube and the expired ones; their values are not shown."""
    advice = "export them again, in Netscape format, from a browser in which YouTube works"
    jar = http.cookiejar.MozillaCookieJar()
    try:
        jar.load(str(path), ignore_discard=True, ignore_expires=True)
    except (OSError, UnicodeDecodeError) as error:  # LoadError is an OSError
        why = getattr(error, "strerror", None) or "not a cookie file in Netscape format"
        return Check(name="cookies", state="missing", found=f"{path}: {why}", advice=advice)
    youtube = [cookie for cookie in jar if cookie.domain.lstrip(".").endswith("youtube.com")]
    expired = [cookie for cookie in youtube if cookie.expires and cookie.expires < time.time()]
    found = f"{path}: {len(youtube)} of YouTube, {len(expired)} of them expired"
    good = len(youtube) > len(expired)
    return Check(name="cookies", state="ok" if good else "warning", found=found, advice="" if good else advice)


def _host(name: str, port: int) -> Check:
    try:
        socket.create_connection((name, port), timeout=5).close()
    except OSError as error:
        return Check(
            name=name,
            state="warning",
            found=error.strerror or str(error),
            advice="check the connection; this check does not use a proxy, --proxy does",
        )
    return Check(name=name, state="ok", found="responds")


def _disk(work: Path) -> Check:
    folder = work.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    good = free >= MIN_FREE_BYTES
    return Check(
        name="disk",
        state="ok" if good else "warning",
        found=f"{free / 1e9:.1f} GB free at {folder}",
        advice=""
        if good
        else f"{MIN_FREE_BYTES / 1e9:.0f} GB or more are needed for the bundled manifest; give another folder to --work",
    )


def _gpu() -> Check:
    path = shutil.which("nvidia-smi")
    if path is not None:
        try:
            done = subprocess.run(
                [path, "--query-gpu=name,memory.total", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            done = None
        if done is not None and done.returncode == 0 and done.stdout.strip():
            return Check(name="GPU", state="ok", found="; ".join(done.stdout.strip().splitlines()))
    return Check(name="GPU", state="optional", found="none; only useful for training")


def _google() -> Check:
    path = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if not path:
        return Check(name="Google speech", state="optional", found="GOOGLE_APPLICATION_CREDENTIALS is not set")
    exists = Path(path).is_file()
    return Check(
        name="Google speech",
        state="ok" if exists else "missing",
        found="credentials file exists" if exists else "GOOGLE_APPLICATION_CREDENTIALS is not the path of a file",
        advice="" if exists else "set it to the path of the key of a service account",
    )


def _optional() -> Iterator[Check]:
    for module, purpose, command in _OPTIONAL:
        installed = importlib.util.find_spec(module) is not None
        yield Check(
            name=module,
            state="ok" if installed else "optional",
            found=f"for {purpose}" if installed else f"not installed; for {purpose}",
            advice="" if installed else command,
        )
