"""Options that several commands share, and the functions that parse them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args

import typer

from phonics_data.contract.address import local_path
from phonics_data.errors import OptionError

WeightsKind = Literal["last", "ema"]
SplitName = Literal["train", "validation", "test", "unseen-styles"]
T = TypeVar("T")

PRESET_HELP = (
    "paper (literal reading, 64x64), tuned (options that did better in experiments), lean (half of the computation), "
    "tiny (32x32, for CPUs), small (tiny, for check-training), smoke (tiny, a few minutes, for the demo), or a baseline "
    "or ablation step of docs/baselines.md (mocogan-tiny, ...)."
)
# torchrun reads --run as a prefix of its own options, so there is a longer name.
NewRunOption = Annotated[Path, typer.Option("--run", "--run-folder", help="Run folder; created or resumed.")]
RunOption = Annotated[Path, typer.Option("--run", "--run-folder", help="Run folder of `cssgan train`.")]
# A str, because a Path loses "./": ./rendered-64 is a folder, and rendered-64 may be the model of the package.
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "--run",
        "--run-folder",
        help="Run folder, folder of `cssgan export`, hf://USER/NAME, or the name of a model that comes with the package: rendered-64.",
    ),
]
ShardsOption = Annotated[str, typer.Option("--shards", help="Dataset: folder or address (s3://...) with *.tar shards.")]
SplitOption = Annotated[str, typer.Option(help="Split of the dataset: train, validation, test or unseen-styles.")]
WeightsOption = Annotated[str, typer.Option(help="last (last step) or ema (exponential moving average, if it exists).")]
SetOption = Annotated[list[str], typer.Option("--set", metavar="FIELD=VALUE", help="Change a field; can be repeated.")]
EvaluatorsOption = Annotated[
    Path | None, typer.Option(help="Folder of `cssgan evaluators train`; enables their metrics.")
]
AsJsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def choice(option: str, text: str, allowed: Sequence[T]) -> T:
    """The element of `allowed` that equals `text`. Raises `OptionError` if there is none."""
    for value in allowed:
        if value == text:
            return value
    raise OptionError(option, text, ", ".join(map(str, allowed)))


def parse_weights(text: str) -> WeightsKind:
    return choice("--weights", text, get_args(WeightsKind))


def parse_split(text: str) -> SplitName:
    return choice("--split", text, get_args(SplitName))


def parse_named_runs(texts: Sequence[str], option: str = "--run") -> dict[str, Path]:
    """NAME=RUN texts -> run folders by name. Raises `OptionError` for another form or a repeated name."""
    runs: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not path or not re.fullmatch(r"[\w+ -][\w.+ -]{0,39}", name):
            raise OptionError(option, text, "NAME=RUN, such as cssgan=runs/first; NAME of letters, digits and -_.+")
        if name in runs:
            raise OptionError(option, text, f"another name: {name!r} already means {runs[name]}")
        runs[name] = local_path(path, option)
    return runs
