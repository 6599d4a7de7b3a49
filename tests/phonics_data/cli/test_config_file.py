"""``--config``: values reach the stages, the command line has priority, errors are clear, the written file is complete."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner, Result

from phonics_data.cli.app import app
from phonics_data.cli.options import FetchArguments, SegmentArguments, ShardArguments, TranscribeArguments
from phonics_data.errors import InputError, OptionError
from phonics_data.stages.fetch.options import FetchOptions
from phonics_data.stages.pipeline import BuildOptions
from phonics_data.stages.segment import SegmentOptions
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.stages.transcribe import TranscribeOptions
from phonics_data.types import StageCount

CONFIG = """
manifest = "songs.csv"
work = "work"
max-height = 240
sleep = [1, 2.5]
only = ["a", "b"]
engine = "captions"
ignore_captions = true
frame_rate = 30
max_frames = 90
order = "strict"
size = 32
drop-static = true
seed = 7
"""


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The options of every build and of every fetch, which are replaced by functions that do nothing."""
    monkeypatch.chdir(tmp_path)
    Path("songs.csv").write_text("video_id,url\na,a.mp4\n")
    Path("run.toml").write_text(CONFIG)
    found: list[Any] = []

    def build(workspace: object, videos: object, out: object, options: BuildOptions, **_: object) -> Iterator[object]:
        found.append(options)
        return (count for count in ())

    def fetch(workspace: object, videos: object, options: FetchOptions, **_: object) -> StageCount:
        found.append(options)
        return StageCount(
            stage="fetch", num_in=1, num_kept=1, num_rejected=0, num_skipped=0, by_reason={}, wall_seconds=0.0
        )

    monkeypatch.setattr("phonics_data.stages.pipeline.build", build)
    monkeypatch.setattr("phonics_data.stages.fetch.stage.fetch", fetch)
    monkeypatch.setattr("phonics_data.report.write_report", lambda dataset: dataset)
    return found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def checked(*arguments: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)


def test_values_of_the_file_reach_all_stages(runs: list[Any]) -> None:
    checked("build", "--config", "run.toml")
    (options,) = runs
    assert (options.fetch.max_height, options.fetch.sleep_seconds, options.fetch.only) == (240, (1.0, 2.5), ("a", "b"))
    assert (options.transcribe.engine.engine, options.transcribe.ignore_captions) == ("captions", True)
    assert options.segment == SegmentOptions(frame_rate=Fraction(30), max_frames=90, order="strict")
    assert (options.shard.frame_rate, options.shard.width, options.shard.height) == (30, 32, 32)
    assert (options.shard.filters.drop_static, options.shard.seed) == (True, 7)


def test_command_line_has_priority(runs: list[Any]) -> None:
    checked("build", "--config", "run.toml", "--size", "48", "--only", "c", "--order", "any")
    (options,) = runs
    assert (options.shard.width, options.fetch.only, options.segment.order) == (48, ("c",), "any")
    assert options.segment.max_frames == 90


def test_written_file_gives_the_same_run(runs: list[Any]) -> None:
    checked("build", "--config", "run.toml", "--size", "48")
    written = Path("work/options/build.toml").read_text()
    checked("build", "--config", "work/options/build.toml")
    assert runs[1] == runs[0]
    assert Path("work/options/build.toml").read_text() == written


def test_every_option_is_written(runs: list[Any]) -> None:
    checked("build", "songs.csv", "--work", "work")
    text = Path("work/options/build.toml").read_text()
    names = [line.removeprefix("# ").split(" ")[0] for line in text.splitlines()]
    commands: Any = typer.main.get_command(app)
    flags = [parameter.opts[0] for parameter in commands.commands["build"].params]
    assert names == [
        flag.removeprefix("--").replace("-", "_") for flag in flags if flag not in ("--config", "-h", "--help")
    ]
    values = tomllib.loads(text)
    assert (values["manifest"], values["size"], values["sleep"]) == ("songs.csv", 64, [5.0, 10.0])
    assert "# max_height is not set\n" in text


def test_a_file_with_byte_order_mark_is_read(runs: list[Any]) -> None:
    Path("bom.toml").write_bytes(b"\xef\xbb\xbfsize = 32\n")
    checked("build", "songs.csv", "--config", "bom.toml")
    assert runs[0].shard.width == 32


def test_odd_values_are_written_so_that_the_file_can_be_read(runs: list[Any]) -> None:
    checked("build", "songs.csv", "--out", "a\x7fb", "--google-project", "p\udcff", "--yes")
    values = tomllib.loads(Path("work/options/build.toml").read_text())
    assert values["out"] == "a\x7fb"
    assert {"google_project", "yes"}.isdisjoint(values)


def test_secrets_are_not_written(runs: list[Any]) -> None:
    Path("cookies.txt").write_text("")
    checked("fetch", "songs.csv", "--cookies", "cookies.txt", "--proxy", "http://me:word1@localhost:1")
    text = Path("work/options/fetch.toml").read_text()
    assert "cookies.txt" not in text
    assert "word1" not in text
    assert "# cookies = [hidden]\n" in text
    assert runs[0].proxy == "http://me:word1@localhost:1"
    assert {"cookies", "proxy"}.isdisjoint(tomllib.loads(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_hight = 240", "got 'max_hight', allowed: the options of `.* build`: manifest, work, .*max_height"),
        ("config = 'x'", "got 'config', allowed"),
        ("[shard]\nsize = 64", "got 'shard', allowed"),
        ("size = 'big'", "size: got 'big', allowed: an integer"),
        ("size = true", "size: got True, allowed: an integer"),
        ("max-minutes = '1'", "max-minutes: got '1', allowed: a number"),
        ("yes = 1", "yes: got 1, allowed: true or false"),
        ("engine = ['whisper']", r"engine: got \['whisper'\], allowed: a string"),
        ("only = 'a'", "only: got 'a', allowed: a list of strings"),
        ("only = [1]", r"only: got \[1\], allowed: a list of strings"),
        ("sleep = [1]", r"sleep: got \[1\], allowed: a list of 2 numbers"),
        ("filters = 3", r"filters: got 3, allowed: a string \(path\)"),
        ("max-frames = 50\nmax_frames = 60", "got 'max_frames', allowed: max-frames once, with - or with _"),
    ],
)
def test_unknown_options_and_wrong_types_are_one_clear_error(runs: list[Any], text: str, message: str) -> None:
    Path("bad.toml").write_text(text)
    result = run("build", "songs.csv", "--config", "bad.toml")
    assert isinstance(result.exception, OptionError)
    with pytest.raises(OptionError, match=f"--config bad.toml.*{message}"):
        raise result.exception
    assert runs == []


@pytest.mark.parametrize(("text", "message"), [(None, "no such file"), ("size =", "not TOML")])
def test_unreadable_files(runs: list[Any], text: str | None, message: str) -> None:
    if text is not None:
        Path("bad.toml").write_text(text)
    result = run("fetch", "songs.csv", "--config", "bad.toml")
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def test_values_are_checked_like_those_of_the_command_line(runs: list[Any]) -> None:
    Path("bad.toml").write_text("size = 4")
    result = run("build", "songs.csv", "--config", "bad.toml")
    assert result.exit_code == 2
    assert "'--size'" in result.output
    Path("bad.toml").write_text("order = 'reverse'")
    result = run("build", "songs.csv", "--config", "bad.toml")
    assert str(result.exception) == "--order: got 'reverse', allowed: strict, any or auto"


def test_build_has_the_options_of_all_stages() -> None:
    commands: Any = typer.main.get_command(app)
    names = {name: {parameter.name for parameter in commands.commands[name].params} for name in commands.commands}
    of_stages = names["fetch"] | names["transcribe"] | names["segment"] | names["shard"]
    assert of_stages - names["build"] == {"dry_run", "as_json", "label_set", "part", "executor", "ray_address"}
    assert names["build"] - of_stages == {"fetch_workers"}


def test_defaults_are_those_of_the_stages() -> None:
    assert FetchArguments().options(workers=1) == FetchOptions()
    assert SegmentArguments().options() == SegmentOptions()
    assert ShardArguments().options() == ShardOptions()


def test_defaults_of_transcribe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PHONICS_GOOGLE_ENDPOINT", raising=False)
    assert dataclasses.asdict(TranscribeArguments().options()) == dataclasses.asdict(TranscribeOptions())
