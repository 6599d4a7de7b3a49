"""`cssgan evaluators`: networks trained on real clips that evaluate generated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import ShardsOption
from phonics_data.contract.console import say

evaluators_app = typer.Typer(
    name="evaluators",
    help="Networks for class, synchrony and order metrics, trained on real clips.\n\n"
    "Example: cssgan evaluators train --shards data/letters --out evaluators",
    no_args_is_help=True,
)


@evaluators_app.callback()
def _evaluators() -> None:
    """Without a callback, typer would replace the group by its only command."""


@evaluators_app.command()
def train(
    shards: ShardsOption,
    out: Annotated[Path, typer.Option(help="Folder for the evaluators; the same command resumes.")],
    size: Annotated[int, typer.Option(help="Height and width of the frames of the models, in pixels.", min=16)] = 64,
    frames: Annotated[int, typer.Option(help="Frames of a window.", min=16)] = 32,
    steps: Annotated[int | None, typer.Option(help="Steps per evaluator; default: that of its recipe.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the samples.", min=0)] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Train a frame classifier, a SyncNet and an order classifier on the train split.

    Prints the accuracy of each on held-out clips. Below the admission bound (half-way between chance and perfect
    accuracy), an evaluator reports no metrics; `cssgan evaluate --evaluators` then prints the reason.

    Example: cssgan evaluators train --shards data/letters --out evaluators
    """
    from dataclasses import replace

    from cssgan.data.shards import as_dataset
    from cssgan.evaluators.spec import EvaluatorSpec
    from cssgan.evaluators.train import summary
    from cssgan.evaluators.train import train as train_evaluators
    from cssgan.training.device import keep_freed_memory, parse_device

    spec = EvaluatorSpec(size=size, num_frames=frames, seed=seed)
    if steps is not None:
        spec = replace(spec, class_steps=steps, sync_steps=steps, order_steps=steps)
    torch_device = str(parse_device(device))
    keep_freed_memory()
    trained = train_evaluators(
        as_dataset(shards), out, spec, device=torch_device, on_progress=lambda line: say(line, err=True)
    )
    for kind, evaluator in trained.evaluators.items():
        say(summary(kind, evaluator, len(trained.label_set)))
    for kind, reason in trained.missing.items():
        say(f"{kind}: {reason}")
