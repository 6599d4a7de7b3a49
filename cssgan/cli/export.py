"""`cssgan export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import RunOption, WeightsOption, choice, parse_weights
from phonics_data.contract.console import say


def export(
    run: RunOption,
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier export is replaced.")],
    weights: WeightsOption = "last",
    stored_as: Annotated[
        str, typer.Option(help="Type of the weights in the file: float32, float16 or bfloat16 (both half as large).")
    ] = "float32",
    about: Annotated[
        Path | None,
        typer.Option(
            help="Markdown file on data, licences, use and limits for the model card; a first line `license: NAME` names the "
            "licence of the weights."
        ),
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="Report of `cssgan evaluate` for the model card; default: RUN/evaluation.json.")
    ] = None,
) -> None:
    """Export a trained generator: safetensors, config.json and a model card, for cssgan.load_pretrained and generate.

    Example: cssgan export --run runs/first --out exported
    """
    which = parse_weights(weights)
    from cssgan.inference.export import export as write_export
    from cssgan.pretrained.exported import STORED_AS, StoredAs

    kind: StoredAs = choice("--stored-as", stored_as, STORED_AS)
    folder = write_export(run, out, which=which, stored_as=kind, about=about, evaluation=evaluation)
    say(f"{folder}: model.safetensors, config.json, README.md")
