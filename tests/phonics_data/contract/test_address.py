"""Addresses: every option that is a path refuses them, and messages show no credentials."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from phonics_data.contract.address import file_system, local_path, not_local, shown
from phonics_data.contract.tar_reader import copy_file
from phonics_data.dataset.reader import open_dataset
from phonics_data.errors import DatasetError, DependencyError, OptionError
from phonics_data.report.verify import verify
from phonics_data.storage.manifest import read_manifest


def parameters(name: str, command: Any) -> Iterator[tuple[str, Any, Any]]:
    for child_name, child in getattr(command, "commands", {}).items():
        yield from parameters(f"{name} {child_name}", child)
    yield from ((name, command, parameter) for parameter in command.params)


def programs() -> Iterator[tuple[str, Any, Any]]:
    from phonics_data.cli.app import app as phonics_data

    yield from parameters("phonics-data", typer.main.get_command(phonics_data))
    try:
        from cssgan.cli.app import app as cssgan
    except ModuleNotFoundError:  # an installation for datasets alone
        return
    yield from parameters("cssgan", typer.main.get_command(cssgan))


def test_every_path_of_every_command_refuses_addresses() -> None:
    refused = set()
    for name, command, parameter in programs():
        value = ["local"] if parameter.multiple else "local"
        try:
            found = parameter.process_value(typer.Context(command), value)
        except Exception:  # noqa: BLE001 - a number, a choice, or a file that is read at once
            continue
        if not isinstance(found[0] if isinstance(found, list | tuple) else found, Path):
            continue
        text = "s3://key:secret@bucket/folder"
        with pytest.raises(OptionError, match="got 's3://bucket/folder', allowed: a path on this machine"):
            parameter.process_value(typer.Context(command), [text] if parameter.multiple else text)
        refused.add(f"{name} {max(parameter.opts, key=len)}")
    assert {
        "phonics-data fetch --work",
        "phonics-data build --out",
        "phonics-data import folder --out",
        "phonics-data stats dataset",
    } <= refused
    assert len(refused) > 50


@pytest.mark.parametrize(
    "arguments",
    [
        ["fetch", "songs.csv", "--work", "s3://bucket/work"],
        ["build", "songs.csv", "--out", "gs://bucket/dataset"],
        ["fetch", "songs.csv", "--config", "options.toml"],
        ["segment", "--reviews", "https://host/reviews.csv"],
    ],
)
def test_nothing_is_made_for_an_address(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("video_id,url\na,a.mp4\n")
    (tmp_path / "options.toml").write_text('work = "s3://bucket/work"\n')
    before = sorted(path.name for path in tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-m", "phonics_data", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "allowed: a path on this machine" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)  # as if it were not installed
    for read in (open_dataset, verify, read_manifest, lambda address: copy_file(address, Path("x"))):
        with pytest.raises(
            DependencyError, match=r"gs:// needs the package gcsfs, which is not installed; run: pip install 'gcsfs'"
        ):
            read("gs://bucket/dataset")
    with pytest.raises(DatasetError, match=r"nosuch://x: cannot be read .*allowed: https://, s3://"):
        file_system("nosuch://x")


def test_messages_have_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-of-mine")
    text = "https://me:pass@host/a.tar?X-Amz-Signature=abc a-secret-of-mine hf_abcdefghijklmnopqrst AKIAABCDEFGHIJKLMNOP s3://bucket/x"
    assert shown(text) == "https://host/a.tar [hidden] [hidden] [hidden] s3://bucket/x"
    assert "pass" not in str(not_local("s3://me:pass@b/x", "--work"))
    with pytest.raises(DatasetError) as caught:
        next(open_dataset("https://me:pass@127.0.0.1:9/a.tar?sig=abc"))
    assert "pass" not in str(caught.value)
    assert "sig" not in str(caught.value)


def test_paths_are_paths(tmp_path: Path) -> None:
    assert local_path("a:/b", "--work") == Path("a:/b")
    with pytest.raises(OptionError, match="--work"):
        local_path("a://b", "--work")


def test_keys_with_slashes_and_endpoints_without_scheme_are_hidden() -> None:
    assert shown("s3://KEY:sec/ret@songs/a") == "s3://songs/a"
    assert shown("user:secretword@127.0.0.1:9000: refused") == "127.0.0.1:9000: refused"
    assert shown("https://h.org:8000/a/b.tar") == "https://h.org:8000/a/b.tar"
