"""`cssgan export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import RunOption, WeightsOption, parse_weights


def export(
    run: RunOption,
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier export is replaced.")],
    weights: WeightsOption = "last",
) -> None:
    """Export a trained generator: safetensors, config.json and a model card, for cssgan.load_pretrained and generate.

    Example: cssgan export --run runs/first --out exported
    """
    which = parse_weights(weights)
    from cssgan.inference.export import export as write_export

    typer.echo(f"{write_export(run, out, which=which)}: model.safetensors, config.json, README.md")
