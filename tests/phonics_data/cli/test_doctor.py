"""Missing and old packages and programs are reported with advice; no secrets are printed."""

from __future__ import annotations

import socket
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from phonics_data.cli.doctor import Check, examine

pytestmark = pytest.mark.dependencies


def by_name(work: Path, **options: object) -> dict[str, Check]:
    return {check.name: check for check in examine(work, hosts=(), **options)}  # type: ignore[arg-type]


def test_this_environment_passes(tmp_path: Path) -> None:
    checks = by_name(tmp_path / "not" / "yet")
    assert [name for name, check in checks.items() if check.state == "missing"] == []
    assert "ffmpeg" in checks["ffmpeg"].found
    assert checks["JavaScript runtime"].found.startswith(("deno", "node"))


def test_old_ytdlp_is_a_warning(tmp_path: Path) -> None:
    assert by_name(tmp_path, today=date(2099, 1, 1))["yt-dlp"].state == "warning"
    young = by_name(tmp_path, today=date(2026, 1, 1))["yt-dlp"]
    assert (young.state, young.advice) == ("ok", "")


def test_missing_programs_are_reported_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "no-ffmpeg"))
    checks = by_name(tmp_path)
    assert (checks["JavaScript runtime"].state, checks["JavaScript runtime"].advice) == (
        "missing",
        "pip install --upgrade deno",
    )
    assert checks["ffmpeg"].state == "missing"


def test_old_runtime_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.1.0\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    check = by_name(tmp_path)["JavaScript runtime"]
    assert check.state == "missing"
    assert "node 18.1.0 is older than 22.0.0" in check.found


@pytest.mark.parametrize(
    ("expires", "state"), [(time.time() + 1e6, "ok"), (time.time() - 1e6, "warning")], ids=["ok", "old"]
)
def test_cookies_are_counted_and_not_shown(tmp_path: Path, expires: float, state: str) -> None:
    path = tmp_path / "cookies.txt"
    line = "\t".join([".youtube.com", "TRUE", "/", "TRUE", str(int(expires)), "SID", "SECRET"])
    path.write_text(f"# Netscape HTTP Cookie File\n{line}\n")
    check = by_name(tmp_path, cookies=path)["cookies"]
    assert check.state == state
    assert "1 of YouTube" in check.found
    assert "SECRET" not in f"{check}"


@pytest.mark.parametrize("text", [None, "not cookies"])
def test_invalid_cookie_files(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "cookies.txt"
    if text is not None:
        path.write_text(text)
    assert by_name(tmp_path, cookies=path)["cookies"].state == "missing"


def test_hosts_are_connected_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (reachable,) = [check for check in examine(tmp_path, hosts=[("127.0.0.1", port)]) if check.name == "127.0.0.1"]
    (unreachable,) = [check for check in examine(tmp_path, hosts=[("127.0.0.1", port)]) if check.name == "127.0.0.1"]
    assert (reachable.state, unreachable.state) == ("ok", "warning")


def test_google_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    assert by_name(tmp_path)["Google speech"].state == "missing"
    (tmp_path / "key.json").write_text("{}")
    assert by_name(tmp_path)["Google speech"].state == "ok"


def requirements(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    monkeypatch.setattr("importlib.metadata.requires", lambda _name: list(texts))


def test_packages_satisfy_the_metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements(monkeypatch, "av>=14", "numpy>=2.0", 'no-such-package>=1; python_version < "3"')
    assert by_name(tmp_path)["packages"].state == "ok"


def test_old_and_missing_packages_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements(monkeypatch, "av>=999", "no-such-package>=1", 'pillow>=999; extra == "demo"')
    checks = by_name(tmp_path)
    assert "packages" not in checks
    assert checks["av"].state == "missing"
    assert checks["av"].found.endswith("required: av>=999")
    assert checks["av"].advice == "pip install --upgrade 'av>=999'"
    assert (checks["no-such-package"].state, checks["no-such-package"].found) == ("missing", "not installed")
    assert checks["pillow"].state == "warning"  # only needed for an extra


def test_package_that_cannot_be_imported_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requirements(monkeypatch, "soxr>=0.1")
    monkeypatch.setitem(sys.modules, "soxr", None)
    check = by_name(tmp_path)["soxr"]
    assert check.state == "missing"
    assert "cannot be imported" in check.found


def test_av_that_cannot_open_videos_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **options: object) -> object:
        raise TypeError(f"open() got an unexpected keyword argument {next(iter(options), '')!r}")

    assert by_name(tmp_path)["video files"].state == "ok"
    monkeypatch.setattr("av.open", refuse)
    check = by_name(tmp_path)["video files"]
    assert check.state == "missing"
    assert "unexpected keyword argument" in check.found


def test_missing_onnxruntime_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_name(tmp_path)["OCR"].state == "ok"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert by_name(tmp_path)["OCR"].state == "missing"


def test_untested_systems_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    check = by_name(tmp_path)["system"]
    assert check.state == "warning"
    assert "macOS is untested" in check.advice
