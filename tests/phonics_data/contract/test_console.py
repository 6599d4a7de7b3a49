"""What is printed has no control characters, and no line breaks of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phonics_data.contract.console import printable, printable_json, say

ODD = "A\x1b]0;x\x07B\x9b2J\x7f\u202ec\nd\re\ud800"
ROOT = Path(__file__).resolve().parents[3]


@given(st.text())
def test_printable_text_has_no_control_characters_and_can_be_stored(text: str) -> None:
    assert printable(text).isprintable()
    printable(text).encode()


def test_escape_sequences_are_shown() -> None:
    assert printable("a\x1b[2Jb\u202ec\nd\ud800\x9b") == r"a\x1b[2Jb\u202ec\nd\ud800\x9b"
    assert printable("Ärger 字 'x'") == "Ärger 字 'x'"


@given(st.dictionaries(st.text(), st.text() | st.integers()))
def test_json_keeps_its_value(value: dict[str, object]) -> None:
    text = printable_json(value, indent=1)
    assert all(line.isprintable() for line in text.split("\n"))
    assert json.loads(text) == value


def test_say_prints_one_line_for_each() -> None:
    out = io.StringIO()
    say("a\nb", "c", file=out)
    assert out.getvalue() == "a\\nb\nc\n"


def _run(program: str, *arguments: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, "-m", program, *arguments], cwd=cwd, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


def _is_clean(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


NAME = "a\x1b]0;x\x07\x9b\u202e\nforged: line"


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("phonics_data", ("manifest", "check", f"{NAME}.csv")),
        ("phonics_data", ("status", "--work", NAME)),
        ("phonics_data", ("show", NAME, "--work", NAME)),
        ("phonics_data", ("bench", "letters", "--work", NAME)),
        ("phonics_data", ("doctor", "--cookies", NAME)),
        ("phonics_data", ("verify", NAME)),
        ("phonics_data", ("verify", "dataset", NAME)),
        ("phonics_data", (NAME,)),
        ("phonics_data", (f"--{NAME}",)),
        ("cssgan", ("export", "--run", NAME, "--out", "out")),
        ("cssgan", ("show-config", "--set", f"{NAME}=1")),
        ("cssgan", ("show-config", NAME)),
    ],
)
def test_names_of_files_do_not_reach_the_terminal(program: str, arguments: tuple[str, ...], tmp_path: Path) -> None:
    text = _run(program, *arguments, cwd=tmp_path)
    assert _is_clean(text), text
    assert not any(line.startswith("forged") for line in text.split("\n"))


def test_titles_of_a_manifest_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """Rows of a dry run, faults of a check, the difference of two manifests."""
    head = "video_id,url,title\n"
    (tmp_path / "odd.csv").write_text(f'{head}a1,a.mp4,"{NAME}"\n', encoding="utf-8")
    (tmp_path / "bad.csv").write_text(f'{head}a1,"http://[::1/{NAME}",x\n', encoding="utf-8")
    (tmp_path / "plain.csv").write_text(f"{head}a1,a.mp4,x\n")
    (tmp_path / "a.mp4").touch()
    for arguments in (
        ("fetch", "odd.csv", "--work", "work", "--dry-run"),
        ("fetch", "odd.csv", "--work", "work2"),
        ("manifest", "check", "bad.csv"),
        ("manifest", "diff", "plain.csv", "odd.csv"),
    ):
        text = _run("phonics_data", *arguments, cwd=tmp_path)
        assert _is_clean(text), text
        assert "Traceback" not in text
    for path in (tmp_path / "work2").rglob("*.log"):
        assert _is_clean(path.read_text(encoding="utf-8"))


def test_stored_texts_do_not_reach_the_terminal(tmp_path: Path) -> None:
    """Rejections and warnings in a workspace that another person made."""
    from phonics_data.storage.workspace import Workspace, write_json

    workspace = Workspace(tmp_path / "work")
    rejection = {"stage": "fetch", "item_id": "a1", "reason": "gone", "detail": NAME}
    entry = {"status": "gone", "video": None, "rejection": rejection, "url": NAME, "max_height": 1, "warnings": [NAME]}
    write_json(workspace.ledger("fetch").path("a1"), {"fingerprint": "x", "outcome": entry})
    write_json(workspace.root / "items/fetch-run.json", {"manifest": NAME, "untried": [NAME], "stopped": NAME})
    for options in ((), ("--json",), ("--videos",)):
        text = _run("phonics_data", "status", "--work", "work", *options, cwd=tmp_path)
        assert "a1" in text
        assert _is_clean(text), text


def test_the_commands_print_by_one_function() -> None:
    """`say`, or tables and bars of rich, whose texts are printable."""
    for path in [*(ROOT / "phonics_data/cli").glob("*.py"), *(ROOT / "cssgan/cli").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        assert "typer.echo(" not in text, path
        assert " print(" not in text, path
