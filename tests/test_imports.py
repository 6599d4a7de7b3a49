"""Importing the packages and printing help load no heavy library."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.dependencies

HEAVY = (
    "torch",
    "pandas",
    "av",
    "librosa",
    "yt_dlp",
    "google",
    "pyarrow",
    "scipy",
    "webdataset",
    "soundfile",
    "starlette",
    "uvicorn",
    "jinja2",
    "matplotlib",
)

PROBE = """
import runpy, sys
try:
    {action}
except SystemExit as end:
    assert not end.code, end.code
loaded = {{name.partition(".")[0] for name in sys.modules}}
print("LOADED", *sorted(loaded & set({heavy!r})))
"""


def loaded_by(action: str) -> str:
    code = PROBE.format(action=action, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("package", ["phonics_data", "cssgan"])
def test_import_loads_no_heavy_library(package: str) -> None:
    assert loaded_by(f"import {package}") == "LOADED"


@pytest.mark.parametrize("package", ["phonics_data", "cssgan"])
def test_help_loads_no_heavy_library(package: str) -> None:
    action = f"sys.argv = ['x', '--help']; runpy.run_module({package!r}, run_name='__main__')"
    assert loaded_by(action) == "LOADED"


def test_the_probe_detects_a_heavy_library() -> None:
    assert loaded_by("import pyarrow") == "LOADED pyarrow"
