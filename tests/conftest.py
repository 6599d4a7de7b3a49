"""Fixtures for all tests: no network, fixed seeds, paths of recordings."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from pytest_socket import socket_allow_hosts


def pytest_configure() -> None:
    # A shell's background jobs ignore Ctrl-C, and so would the programs that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Time is measured in benchmarks; on a busy machine any example can be slow.
    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


def pytest_runtest_setup() -> None:
    # Per test, since pytest-socket undoes it after each.
    socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def _randomness_restored() -> Iterator[None]:
    """No test sees the random state that another one left."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - saved because libraries use it
    yield
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real material (PHONICS_SHARED_DATA); the test is skipped where there is none."""
    folder = Path(os.environ.get("PHONICS_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real material at {folder}; PHONICS_SHARED_DATA names its folder")
    return folder


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a few rendered songs, rendered once for all test processes."""
    import filelock

    from phonics_data.sources.synthetic.render import render_songs

    root = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        root = root.parent  # each worker has a folder of its own below the common one
    with filelock.FileLock(root / "songs.lock"):
        render_songs(root / "songs", num_songs=4, seed=11, family="letters", workers=2)
    return root / "songs"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium of the system."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (extra dev)")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine")
    with api.sync_playwright() as playwright:
        # Names of the top level domain test are this machine, without being treated as this machine.
        options = ["--no-sandbox", "--mute-audio", "--host-resolver-rules=MAP *.test 127.0.0.1"]
        chromium = playwright.chromium.launch(executable_path=program, args=options)
        yield chromium
        chromium.close()
