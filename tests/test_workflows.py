"""The workflow files of the public forge and the Dockerfile name only what exists, and have no more rights than they use."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MAY_WRITE = {("docs.yml", "deploy"), ("release.yml", "publish")}
"""Jobs with a token of the forge; they run no code of the repository."""


def jobs() -> Iterator[tuple[Path, str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text())["jobs"].items():
            yield path, name, job


def commands(job: dict[str, Any]) -> Iterator[str]:
    """The `run` lines of a job, one for each value of a matrix."""
    matrix: dict[str, list[str]] = job.get("strategy", {}).get("matrix", {})
    for step in job["steps"]:
        lines = step.get("run", "").splitlines()
        for key, values in matrix.items():
            place = f"${{{{ matrix.{key} }}}}"
            lines = [line.replace(place, value) for line in lines for value in (values if place in line else [""])]
        yield from lines


def test_each_make_target_of_the_workflows_exists() -> None:
    targets = set(re.findall(r"^([a-z][\w -]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    known = {target for line in targets for target in line.split()}
    used = {word for _, _, job in jobs() for line in commands(job) for word in re.findall(r"\bmake ([^\s;&]+)", line)}
    assert used >= {"check", "test", "test-newest", "test-lowest", "test-wheel", "docs"}
    assert used <= known


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        rights = {right for right, value in job.get("permissions", {}).items() if value == "write"}
        if (path.name, name) in MAY_WRITE:
            assert "id-token" in rights
            assert not any("run" in step or "checkout" in step["uses"] for step in job["steps"])
            assert job["environment"]["name"]
        else:
            assert rights == set()


def test_actions_are_pinned_by_version_and_checkouts_keep_no_credentials() -> None:
    for path, name, job in jobs():
        for step in job["steps"]:
            if uses := step.get("uses"):
                assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", uses), f"{path.name} {name}: {uses}"
                if uses.startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False
        assert job["timeout-minutes"] <= 60


def test_the_matrix_has_each_python_that_the_package_names() -> None:
    named = {found[1] for text in PROJECT["classifiers"] if (found := re.search(r":: (3\.\d+)$", text))}
    (tests,) = [job for path, name, job in jobs() if (path.name, name) == ("ci.yml", "test")]
    assert named <= set(tests["strategy"]["matrix"]["python"])


def test_the_dockerfile_copies_what_exists_and_is_not_ignored() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = [words.split()[:-1] for words in re.findall(r"^COPY (?!--from)(.+)$", text, flags=re.MULTILINE)]
    names = {name for words in copied for name in words}
    assert all((ROOT / name).exists() for name in names)
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert {line[1:] for line in lines if line.startswith("!")} == names
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", text, flags=re.MULTILINE)
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, flags=re.MULTILINE)  # not root
