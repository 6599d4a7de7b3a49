"""Fuzz test of the readers: 100,000 inputs, none of which may crash a reader, hang, or give an invalid value.

Run ``make fuzz``, or ``python -m tests.fuzz [--inputs N] [--seed N] [--random] [--target NAME]``. With atheris (the extra ``[fuzz]``) the
inputs are guided by branch coverage. Without it, or with ``--random``, they are sampled at random. Each target runs in a process of its
own. The first input of a target that violates a rule is written to a temporary file, and the run ends with exit code 1.
"""

from __future__ import annotations

import argparse
import ast
import faulthandler
import importlib
import importlib.util
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from tests.fuzz import MAX_INPUT_BYTES, TARGETS

MAX_INPUT_SECONDS = 2.0
"""Limit of processor time for one input."""
_ALL_INPUTS = 100_000
_HANG_SECONDS = 60.0
"""A reader that does not return is ended with its traceback; longer than the limit, since the machine may be shared."""


class _Run:
    """Counts the results; stops at the first input that violates a rule."""

    def __init__(self, name: str, target: Any) -> None:
        self.name, self.target = name, target
        self.counts: Counter[str] = Counter()
        self.slowest_seconds = 0.0
        self._found = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-")) / "input"

    def run_input(self, data: bytes) -> None:
        self._found.write_bytes(data)  # before it is read: a hang or a crash of the process leaves it behind
        faulthandler.dump_traceback_later(_HANG_SECONDS, exit=True)
        start = time.process_time()
        try:
            is_accepted = self.target.read(data)
            seconds = time.process_time() - start
            assert seconds < MAX_INPUT_SECONDS, f"an input took {seconds:.1f} s"
        except BaseException:
            print(f"{self._found}: this input of {self.name} violates a rule", file=sys.stderr)
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        self.counts["accepted" if is_accepted else "rejected"] += 1

    def summary(self, method: str) -> str:
        self._found.unlink(missing_ok=True)
        self._found.parent.rmdir()
        return (
            f"fuzz {self.name} ({method}): {self.counts.total():,} inputs, {self.counts['accepted']:,} accepted, "
            f"{self.counts['rejected']:,} rejected; slowest {1000 * self.slowest_seconds:.0f} ms; no rule violated"
        )


def run_random(name: str, inputs: int, seed: int) -> _Run:
    """Read `inputs` random inputs of a target; raises what the target raises."""
    target = importlib.import_module(f"tests.fuzz.{name}")
    run, rng = _Run(name, target), random.Random(seed)
    for _ in range(inputs):
        run.run_input(target.sample(rng))
    return run


def _run_guided(name: str, inputs: int, seed: int) -> None:
    """Run libFuzzer on a target. It ends the process, with exit code 0 if all inputs pass."""
    import atheris

    found = importlib.util.find_spec(f"tests.fuzz.{name}")
    assert found is not None
    # The target imports what is instrumented, so its list is read before.
    assigned = {
        getattr(statement.targets[0], "id", ""): statement.value
        for statement in ast.parse(Path(str(found.origin)).read_text(encoding="utf-8")).body
        if isinstance(statement, ast.Assign)
    }
    with atheris.instrument_imports(include=list(ast.literal_eval(assigned["MODULES"]))):
        target = importlib.import_module(f"tests.fuzz.{name}")
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-corpus-"))
    (folder / "corpus").mkdir()
    (folder / "found").mkdir()
    rng = random.Random(seed)
    for number, data in enumerate([*target.SEEDS, *(target.sample(rng) for _ in range(300))]):
        (folder / "corpus" / str(number)).write_bytes(data)
    quoted = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.WORDS if len(word) <= 64)
    (folder / "words.dict").write_text("".join(f'"{word}"\n' for word in quoted))
    run = _Run(name, target)

    def one_input(data: bytes) -> None:
        if data:
            run.run_input(data)
        if run.counts.total() == inputs:
            print(run.summary("guided by atheris"), flush=True)
            # libFuzzer also counts calls without data and has no other way to stop at a given number of inputs.
            os._exit(0)

    options = [
        f"-seed={seed}", f"-max_len={MAX_INPUT_BYTES}", f"-timeout={_HANG_SECONDS:.0f}", f"-dict={folder / 'words.dict'}",
        f"-artifact_prefix={folder / 'found'}/", "-verbosity=0",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(folder / "corpus")], one_input)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--inputs", type=int, default=_ALL_INPUTS, help="of all targets, or of the one of --target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--random", action="store_true", help="sample inputs at random even if atheris is installed")
    parser.add_argument("--target", choices=TARGETS, help="only this one; default: all")
    arguments = parser.parse_args()
    is_guided = not arguments.random and importlib.util.find_spec("atheris") is not None
    if arguments.target is not None:
        warnings.simplefilter("ignore")  # of libraries about damaged files
        logging.disable()
        if is_guided:
            _run_guided(arguments.target, arguments.inputs, arguments.seed)
        else:
            print(run_random(arguments.target, arguments.inputs, arguments.seed).summary("random"), flush=True)
        return
    if not is_guided and not arguments.random:
        print(
            "atheris is not installed (pip install -e '.[fuzz]', where a build exists): the inputs are sampled at random, "
            "without coverage guidance",
            file=sys.stderr,
        )
    shares = {name: importlib.import_module(f"tests.fuzz.{name}").INPUTS for name in TARGETS}
    assert sum(shares.values()) == _ALL_INPUTS, shares
    failed: list[str] = []
    for name, share in shares.items():
        count = max(1, round(arguments.inputs * share / _ALL_INPUTS))
        options = ["--target", name, "--inputs", str(count), "--seed", str(arguments.seed)]
        command = [sys.executable, "-m", "tests.fuzz", *options, *(["--random"] if not is_guided else [])]
        if subprocess.run(command, check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"fuzz: rules are violated by inputs of {', '.join(failed)}")


if __name__ == "__main__":
    main()
