"""Smoke test of an installation: build a small dataset and, if torch is installed, train ten steps.

``python tests/smoke_install.py`` runs the commands of the current Python in a temporary folder. Two songs are rendered if
the extra ``demo`` is installed; otherwise two small videos with captions are written. It prints each step; the exit code
is 1 if a command fails.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

OBJECTS = (
    "apple ball cat dog egg fish goat hat igloo jam kite lion moon nest orange pig queen rabbit sun tiger umbrella van "
    "water fox yellow zebra"
).split()
PACKAGES = ("av", "numpy", "pandas", "pyarrow", "onnxruntime", "opencv-python-headless", "librosa", "torch")
SECONDS_PER_LETTER = 1.5
TRAIN_SETTINGS = ("train.num_videos=20", "train.batch_size=2", "train.log_every=5", "train.sample_every=5")


def main() -> int:
    """Run all steps. Returns the exit code."""
    started = time.monotonic()
    versions = ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name)))
    print(
        f"Python {sys.version.split()[0]}, phonics-cssgan {_version('phonics-cssgan') or 'from a folder'}, {versions}"
    )
    with tempfile.TemporaryDirectory(prefix="smoke-install-") as name:
        folder = Path(name)
        try:
            steps = _run_all(folder)
        except subprocess.CalledProcessError as error:
            print(f"smoke_install: failed with exit code {error.returncode}: {' '.join(error.cmd[1:])}")
            return 1
        except AssertionError as error:
            print(f"smoke_install: failed: {error}")
            return 1
    print(f"smoke_install: {'; '.join(steps)}; {time.monotonic() - started:.0f} s")
    return 0


def _run_all(folder: Path) -> list[str]:
    songs, dataset = folder / "songs", folder / "dataset"
    _run_module(folder, "phonics_data", "--help")
    _run_module(folder, "cssgan", "--help")
    _doctor(folder)
    _run_module(folder, "phonics_data", "manifest", "check", _bundled_manifest(folder))
    if importlib.util.find_spec("espeakng_loader") is not None:
        _run_module(folder, "phonics_data", "render", str(songs), "--songs", "2", "--seed", "3", "--workers", "2")
        steps = ["2 songs rendered"]
    else:
        write_songs(songs)
        steps = ["2 videos written (the extra demo is not installed)"]
    _run_module(
        folder, "phonics_data", "build", str(songs / "manifest.csv"), "--work", str(folder / "work"), "--out",
        str(dataset), "--engine", "captions", "--workers", "2", "--split-ratios", "0.5,0,0.5",
    )  # fmt: skip
    verified = json.loads(_run_module(folder, "phonics_data", "verify", str(dataset), "--json"))
    assert verified["num_samples"] >= 20, f"{verified['num_samples']} clips were built, required: 20 or more"
    steps.append(f"{verified['num_samples']} clips built and verified")
    if importlib.util.find_spec("torch") is None:
        return [*steps, "no training: torch is not installed"]
    settings = [word for setting in TRAIN_SETTINGS for word in ("--set", setting)]
    run = folder / "run"
    _run_module(folder, "cssgan", "train", "--shards", str(dataset), "--run", str(run), "--preset", "smoke", *settings)
    _run_module(folder, "cssgan", "export", "--run", str(run), "--out", str(folder / "exported"))
    assert (folder / "exported" / "model.safetensors").is_file(), "cssgan export wrote no model.safetensors"
    return [*steps, "10 steps trained, model exported"]


def _run_module(folder: Path, module: str, *arguments: str) -> str:
    """Run a module in `folder`, so that only the installed package can be imported. Returns its output."""
    print(f"+ {module} {' '.join(arguments)}", flush=True)
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "CSSGAN_CACHE": str(folder / "cache")}
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        print(done.stdout)
        done.check_returncode()
    return done.stdout


def _doctor(folder: Path) -> None:
    """Fail if `doctor` reports a missing package."""
    print("+ phonics_data doctor --json", flush=True)
    command = [sys.executable, "-m", "phonics_data", "doctor", "--json"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
    checks = json.loads(done.stdout)["checks"]
    missing = [f"{check['name']}: {check['found']}" for check in checks if check["state"] == "missing"]
    assert not missing, f"doctor: {'; '.join(missing)}"


def _bundled_manifest(folder: Path) -> str:
    """Path of the manifest in the installed package; found in `folder`, so that `tests/phonics_data` is not imported."""
    code = "from phonics_data.storage.manifest import bundled_path; print(bundled_path('alphabet'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def write_songs(folder: Path) -> None:
    """Write two videos of the alphabet, their captions, and ``manifest.csv``."""
    import numpy as np

    from phonics_data.media import write_mp4

    folder.mkdir()
    rows = ["video_id,url"]
    for number in range(2):
        name, audio_rate_hz, frame_rate = f"song-{number}", 16_000, 25
        num_frames = round(len(OBJECTS) * SECONDS_PER_LETTER * frame_rate)
        rng = np.random.default_rng(number)
        frames_LHWC = np.repeat(rng.integers(0, 255, (num_frames // 5 + 1, 64, 64, 3), np.uint8), 5, axis=0)
        audio_N = (0.3 * rng.standard_normal(round(num_frames / frame_rate * audio_rate_hz))).astype(np.float32)
        write_mp4(folder / f"{name}.mp4", frames_LHWC[:num_frames], Fraction(frame_rate), audio_N, audio_rate_hz)
        cues = ["WEBVTT", ""]
        for index, word in enumerate(OBJECTS):
            start, end = index * SECONDS_PER_LETTER, (index + 1) * SECONDS_PER_LETTER - 0.1
            cues += [
                f"{_timestamp(start)} --> {_timestamp(end)}",
                f"{word[0].upper() if index != 23 else 'X'} is for {word}",
                "",
            ]
        (folder / f"{name}.en.vtt").write_text("\n".join(cues))
        rows.append(f"{name},{name}.mp4")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")


def _timestamp(seconds: float) -> str:
    return f"00:{int(seconds // 60):02d}:{seconds % 60:06.3f}"


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, whose `phonics_data` would hide the installed package
    sys.exit(main())
