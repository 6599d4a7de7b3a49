"""What is missing or old is named with what to do; nothing secret is shown."""

from __future__ import annotations

import socket
import time
from datetime import date
from pathlib import Path

import pytest

from phonics_data.cli.doctor import Check, examine


def by_name(work: Path, **options: object) -> dict[str, Check]:
    return {check.name: check for check in examine(work, hosts=(), **options)}  # type: ignore[arg-type]


def test_this_very_environment_is_fit(tmp_path: Path) -> None:
    checks = by_name(tmp_path / "not" / "yet")
    assert [name for name, check in checks.items() if check.state == "missing"] == []
    assert "ffmpeg" in checks["ffmpeg"].found
    assert checks["JavaScript runtime"].found.startswith(("deno", "node"))


def test_an_old_ytdlp_is_told(tmp_path: Path) -> None:
    assert by_name(tmp_path, today=date(2099, 1, 1))["yt-dlp"].state == "warning"
    young = by_name(tmp_path, today=date(2026, 1, 1))["yt-dlp"]
    assert (young.state, young.advice) == ("ok", "")


def test_without_programs_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "no-ffmpeg"))
    checks = by_name(tmp_path)
    assert (checks["JavaScript runtime"].state, checks["JavaScript runtime"].advice) == (
        "missing",
        "pip install --upgrade deno",
    )
    assert checks["ffmpeg"].state == "missing"


def test_a_runtime_that_is_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_cookies_that_are_none(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "cookies.txt"
    if text is not None:
        path.write_text(text)
    assert by_name(tmp_path, cookies=path)["cookies"].state == "missing"


def test_hosts_are_knocked_at(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (there,) = [check for check in examine(tmp_path, hosts=[("127.0.0.1", port)]) if check.name == "127.0.0.1"]
    (gone,) = [check for check in examine(tmp_path, hosts=[("127.0.0.1", port)]) if check.name == "127.0.0.1"]
    assert (there.state, gone.state) == ("ok", "warning")


def test_google_credentials_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    assert by_name(tmp_path)["Google speech"].state == "missing"
    (tmp_path / "key.json").write_text("{}")
    assert by_name(tmp_path)["Google speech"].state == "ok"
