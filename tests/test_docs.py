"""docs/cli.md matches the help of the commands; all linked pages exist.

``python -m tests.test_docs --write`` writes docs/cli.md.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "manifests").glob("*.md")])


def command_pages() -> Iterator[str]:
    """One Markdown section for each command of both programs, from the commands' own parameters."""
    from cssgan.cli.app import app as cssgan
    from phonics_data.cli.app import app as phonics_data

    yield "# Commands\n"
    yield "Generated from the help of the commands by `python -m tests.test_docs --write`; a test compares both.\n"
    for program, app in (("phonics-data", phonics_data), ("cssgan", cssgan)):
        group = typer.main.get_command(app)
        yield f"## {program}\n"
        yield f"{group.help}\n"
        yield from _commands(program, group)


def _commands(prefix: str, group: Any) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(f"{prefix} {name}", command)
        else:
            yield _section(f"{prefix} {name}", command)


def _section(name: str, command: Any) -> str:
    context = typer.Context(command)
    text = re.sub(r"^Example: (.+)$", r"Example: `\1`", (command.help or "").strip(), flags=re.MULTILINE)
    lines = [f"### {name}\n", f"{text}\n"]
    rows: list[str] = []
    for parameter in command.params:
        if parameter.name == "help":
            continue
        record = parameter.get_help_record(context)
        flag, text = record or (parameter.name, getattr(parameter, "help", "") or "")
        rows.append(f"| `{flag.strip()}` | {' '.join(text.split())} |".replace("|x|", r"\|"))
    if rows:
        lines += ["| option | meaning |", "| --- | --- |", *rows, ""]
    return "\n".join(lines)


def cli_page() -> str:
    return "\n".join(command_pages()).rstrip() + "\n"


def test_cli_page_matches_the_help() -> None:
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == cli_page(), (
        "docs/cli.md is out of date; run: python -m tests.test_docs --write"
    )


def test_every_command_has_help_and_an_example() -> None:
    sections = cli_page().split("\n### ")[1:]
    assert len(sections) > 10
    for section in sections:
        assert "Example:" in section, f"no example in the help of: {section.splitlines()[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_linked_pages_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which does not exist"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_configuration_fields_exist(page: Path) -> None:
    """`section.field` and `section.field=value` in running text and commands; `loss.*_weight` matches several."""
    from cssgan.config import Config, options

    known = {option.name for option in options(Config())}
    sections = "|".join(sorted({name.partition(".")[0] for name in known}))
    for line in page.read_text(encoding="utf-8").splitlines():
        for name, value in re.findall(rf"(?:`|--set |\s)((?:{sections})\.[a-z_*0-9]+)(=|(?![\w.(=]))", line):
            if name.startswith("model.") and not value:
                continue  # may be an attribute of a model, or a file
            pattern = re.compile(name.replace(".", r"\.").replace("*", ".*"))
            assert any(pattern.fullmatch(one) for one in known), f"{page.name}: there is no option {name!r}"


def test_every_column_of_the_log_is_explained() -> None:
    from cssgan.training.step import TERMS

    page = (ROOT / "docs/model.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page.partition("### Columns of stats.jsonl")[2], re.MULTILINE))
    rows = {name: text for name, text in rows.items() if text != "meaning"}
    readouts = {name for name in rows if name.startswith("val_")}
    assert {name: rows[name] for name in rows.keys() - readouts} == TERMS
    assert readouts == {
        f"val_{name}"
        for name in (
            "l1",
            "l1_over_copy",
            "motion_ratio",
            "seam_ratio",
            "order_acc",
            "order_pairs",
            "l1_batch_norm_gap",
        )
    }


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.test_docs --write")
    (ROOT / "docs" / "cli.md").write_text(cli_page(), encoding="utf-8")
