"""The command line: one-line errors with exit codes, and an example in every help text."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from cssgan.cli import app
from tests.cssgan.toy_dataset import TINY

pytestmark = pytest.mark.dependencies

COMMANDS = typer.main.get_command(app.app).commands  # type: ignore[attr-defined]


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["cssgan", *arguments])
    with pytest.raises(SystemExit) as end:
        app.main()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def sets(*settings: str) -> list[str]:
    return [word for setting in (*TINY, *settings) for word in ("--set", setting)]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_help_text_has_an_example(command: str) -> None:
    result = CliRunner().invoke(app.app, [command, "--help"], env={"COLUMNS": "200"})

    assert result.exit_code == 0
    assert f"Example: cssgan {command}" in result.output


def test_show_config_prints_fields_with_allowed_values(monkeypatch, capsys) -> None:
    code, out, _ = run(monkeypatch, capsys, "show-config", "lean", "--set", "loss.order_weight=0.5")

    assert code == 0
    assert "loss.order_weight = 0.5    [number >= 0]" in out
    assert "model.middle = 4    [whole number >= 1]" in out


def test_show_config_prints_json(monkeypatch, capsys) -> None:
    _, out, _ = run(monkeypatch, capsys, "show-config", "tiny", "--json")

    assert json.loads(out)["model"]["g_output"] == "compose"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["show-config", "huge"], 2, "--preset: got 'huge', allowed: paper, tuned, lean, tiny, small, smoke"),
        (["show-config", "--set", "loss.order_weight=-1"], 2, "loss.order_weight: got -1.0, allowed: number >= 0"),
        (["train", "--shards", "nowhere", "--run", "run"], 1, "nowhere: no such dataset folder"),
        (["evaluate", "--run", "r", "--shards", "d", "--split", "all"], 2, "--split: got 'all', allowed: train, val"),
        (["generate", "--weights", "best", "--run", "r"], 2, "--weights: got 'best', allowed: last, ema"),
        (["generate", "--frame-rate", "0", "--run", "r"], 2, "--frame-rate: got '0', allowed: 1 to 120"),
        (["generate", "--run", "nowhere"], 1, "nowhere: contains no exported model or run"),
    ],
)
def test_errors_have_one_line_and_an_exit_code(
    monkeypatch, capsys, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "generate":
        arguments = [*arguments, "--image", "i.png", "--audio", "a.wav", "--label", "A", "--out", "o.mp4"]

    exit_code, _, err = run(monkeypatch, capsys, *arguments)

    assert exit_code == code
    assert err.startswith("cssgan: ")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_unknown_options_are_usage_errors(monkeypatch, capsys) -> None:
    code, _, err = run(monkeypatch, capsys, "train", "--shard", "d")

    assert code == 2
    assert "No such option" in err


def test_train_resumes_and_reports_a_finished_run(monkeypatch, capsys, dataset: Path, tmp_path: Path) -> None:
    arguments = ["train", "--shards", str(dataset), "--run", str(tmp_path / "run"), "--preset", "tiny"]

    code, out, _ = run(monkeypatch, capsys, *arguments, *sets())
    assert code == 0
    assert "trained 4 steps, 12 videos" in out
    code, _, err = run(monkeypatch, capsys, *arguments, *sets())
    assert code == 0
    assert "finished, 12 videos seen" in err
    code, _, err = run(monkeypatch, capsys, *arguments, *sets("train.seed=5"))
    assert code == 1
    assert "another configuration; it differs in train.seed: 0 -> 5" in err


def test_dry_run_writes_no_run(monkeypatch, capsys, dataset: Path, tmp_path: Path) -> None:
    arguments = ["train", "--shards", str(dataset), "--run", str(tmp_path / "run"), "--preset", "tiny", "--dry-run"]

    code, out, _ = run(monkeypatch, capsys, *arguments, *sets())

    assert code == 0
    assert "7 training clips of 3 classes" in out
    assert not (tmp_path / "run").exists()
