"""The table of options of the preset `tuned` on a toy dataset, with real runs of one step."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks import model_options
from benchmarks.__main__ import app
from cssgan.config import override
from cssgan.presets import preset
from phonics_data.errors import OptionError
from tests.cssgan.toy_dataset import TINY, make_sample, write_shard


def test_every_option_changes_the_preset() -> None:
    base = preset("tuned-tiny")
    for name, row in model_options.option_rows().items():
        assert (override(base, row.settings) != base) is (name != "tuned"), name


def test_unknown_options_are_named() -> None:
    with pytest.raises(OptionError, match=r"--only: got .x., allowed: g_output=compose"):
        model_options.option_rows(["x"])


@pytest.mark.slow
def test_runs_of_one_step_fill_the_table(tmp_path: Path) -> None:
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for split, numbers in (("train", range(6)), ("validation", range(6, 12))):
        write_shard(dataset / f"{split}-000000.tar", [make_sample(number) for number in numbers])
    arguments = ["model-options", str(dataset), "--out", str(tmp_path / "out"), "--videos", "6", "--seeds", "1"]
    arguments += ["--only", "g_output=compose", "--evaluated", "6", "--set", "train.threads=1"]
    for setting in TINY:
        arguments += [] if setting.startswith("train.num_videos") else ["--set", setting]

    done = CliRunner().invoke(app, arguments)

    assert done.exit_code == 0, done.output
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    assert [row[:2] for row in rows[2:]] == [["tuned", "1"], ["without: g_output=compose", "1"]]
