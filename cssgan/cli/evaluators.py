"""`cssgan evaluators`: networks trained on real clips, which then evaluator generated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EvaluatorsOption = Annotated[
    Path | None,
    typer.Option(
        "--evaluators", help="Folder of `cssgan evaluators train`: class, synchrony and order are judged as well."
    ),
]
evaluators_app = typer.Typer(
    name="evaluators",
    help="Discriminators of class, synchrony and order, trained on real clips.\n\nExample: cssgan evaluators train --shards data/letters --out evaluators",
    no_args_is_help=True,
)


@evaluators_app.callback()
def _evaluators() -> None:
    """Keeps `train` a command of its own."""


@evaluators_app.command("train")
def train(
    shards: Annotated[
        str, typer.Option("--shards", help="Dataset: its training clips teach, its others are held out.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the evaluators; the same command goes on where it stopped.")],
    size: Annotated[int, typer.Option(help="Height and width of the frames that the models make.", min=16)] = 64,
    frames: Annotated[int, typer.Option(help="Frames of a window.", min=16)] = 32,
    steps: Annotated[int | None, typer.Option(help="Steps of each evaluator, instead of the recipe's.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Of weights and draws.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train a frame classifier, a SyncNet and an order evaluator on real clips, and try each on clips that were held out.

    Prints what each reaches. One that stays below its bound, half-way from guessing to certainty, will evaluator nothing, and
    `cssgan evaluate --evaluators` says so.

    Example: cssgan evaluators train --shards data/letters --out evaluators
    """
    from dataclasses import replace

    from cssgan.data.shards import as_dataset
    from cssgan.evaluators.spec import EvaluatorSpec
    from cssgan.evaluators.train import told
    from cssgan.evaluators.train import train as train_evaluators
    from cssgan.training.device import device_named, keep_freed_memory

    spec = EvaluatorSpec(size=size, num_frames=frames, seed=seed)
    if steps is not None:
        spec = replace(spec, class_steps=steps, sync_steps=steps, order_steps=steps)
    where = str(device_named(device))
    keep_freed_memory()
    evaluators = train_evaluators(
        as_dataset(shards), out, spec, device=where, say=lambda line: typer.echo(line, err=True)
    )
    for kind, evaluator in evaluators.evaluators.items():
        typer.echo(told(kind, evaluator, len(evaluators.label_set)))
    for kind, reason in evaluators.missing.items():
        typer.echo(f"{kind}: {reason}")
