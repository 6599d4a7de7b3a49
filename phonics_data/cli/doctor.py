"""What this machine has and lacks for the work: programs, ages, room. `phonics-data doctor` prints it."""

from __future__ import annotations

import http.cookiejar
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

State = Literal["ok", "warning", "missing", "optional"]
"""``warning`` works, or may work; ``missing`` stops something that most people need; ``optional`` is a feature not installed."""

MAX_YTDLP_AGE_DAYS = 60
"""YouTube changes every few weeks, and yt-dlp with it."""
MIN_DENO = (2, 3, 0)
MIN_NODE = (22, 0, 0)
MIN_FREE_BYTES = 5_000_000_000
"""Room for the videos of the shipped manifest at 240 lines, clips and shards."""

_OPTIONAL = (
    ("faster_whisper", "speech without captions", "pip install faster-whisper"),
    ("pocketsphinx", "word times moved to the sound", "pip install pocketsphinx"),
    ("espeakng_loader", "rendered songs", "pip install 'phonics-cssgan[demo]'"),
    ("ray", "many machines", "pip install ray"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at."""

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
    """Every check, in the order in which the work needs them.

    Args:
        work: folder whose disk is looked at; it need not exist yet.
        cookies: a cookie file to look into.
        hosts: servers to knock at.
        today: for the age of yt-dlp; None asks the clock.
    """
    return [
        _python(),
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


def _python() -> Check:
    good = sys.version_info >= (3, 11)
    return Check(
        name="Python",
        state="ok" if good else "missing",
        found=platform.python_version(),
        advice="" if good else "3.11 or newer is needed",
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


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
    """YouTube's player is JavaScript that has to run somewhere."""
    beside_python = Path(sys.executable).parent / ("deno.exe" if os.name == "nt" else "deno")
    programs = (
        ("deno", str(beside_python) if beside_python.exists() else shutil.which("deno"), MIN_DENO),
        ("node", shutil.which("node"), MIN_NODE),
    )
    seen: list[str] = []
    for name, path, least in programs:
        version = _program_version(path, "--version") if path else None
        if version is None:
            continue
        text = ".".join(map(str, version))
        if version >= least:
            return Check(name="JavaScript runtime", state="ok", found=f"{name} {text} at {path}")
        seen.append(f"{name} {text} is older than {'.'.join(map(str, least))}")
    return Check(
        name="JavaScript runtime", state="missing", found="; ".join(seen) or "none", advice="pip install --upgrade deno"
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
    return Check(name="ffmpeg", state="ok", found=f"{'.'.join(map(str, version))} at {path}")


def _cookies(path: Path) -> Check:
    """How many cookies of YouTube there are and whether they still hold; never what they are."""
    advice = "export them again from a browser in which YouTube plays, in Netscape format"
    jar = http.cookiejar.MozillaCookieJar()
    try:
        jar.load(str(path), ignore_discard=True, ignore_expires=True)
    except (OSError, UnicodeDecodeError) as error:  # LoadError is an OSError
        why = getattr(error, "strerror", None) or "not a cookie file in Netscape format"
        return Check(name="cookies", state="missing", found=f"{path}: {why}", advice=advice)
    ours = [cookie for cookie in jar if cookie.domain.lstrip(".").endswith("youtube.com")]
    stale = [cookie for cookie in ours if cookie.expires and cookie.expires < time.time()]
    found = f"{path}: {len(ours)} of YouTube, {len(stale)} of them expired"
    good = len(ours) > len(stale)
    return Check(name="cookies", state="ok" if good else "warning", found=found, advice="" if good else advice)


def _host(name: str, port: int) -> Check:
    try:
        socket.create_connection((name, port), timeout=5).close()
    except OSError as error:
        return Check(
            name=name,
            state="warning",
            found=error.strerror or str(error),
            advice="check the connection; behind a proxy this check cannot see it, --proxy does",
        )
    return Check(name=name, state="ok", found="answers")


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
        advice="" if good else f"{MIN_FREE_BYTES / 1e9:.0f} GB or more for the shipped manifest; --work another folder",
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
    return Check(name="GPU", state="optional", found="none; only training asks for one")


def _google() -> Check:
    path = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
    if not path:
        return Check(name="Google speech", state="optional", found="GOOGLE_APPLICATION_CREDENTIALS is not set")
    there = Path(path).is_file()
    return Check(
        name="Google speech",
        state="ok" if there else "missing",
        found="credentials file is there" if there else "GOOGLE_APPLICATION_CREDENTIALS names no file",
        advice="" if there else "set it to the path of the service account's key",
    )


def _optional() -> Iterator[Check]:
    for module, purpose, command in _OPTIONAL:
        there = importlib.util.find_spec(module) is not None
        yield Check(
            name=module,
            state="ok" if there else "optional",
            found=f"for {purpose}" if there else f"not installed; for {purpose}",
            advice="" if there else command,
        )
