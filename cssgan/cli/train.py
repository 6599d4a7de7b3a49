"""`cssgan train`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from cssgan.cli.options import PRESET_HELP, NewRunOption, SetOption, ShardsOption
from phonics_data.contract.console import say


def train(
    shards: ShardsOption,
    run: NewRunOption,
    preset: Annotated[
        str | None,
        typer.Option(help=f"{PRESET_HELP} Default: paper; with --init: the configuration of these weights."),
    ] = None,
    set_: SetOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    init: Annotated[
        str | None,
        typer.Option(
            help="Start a new run from these weights: rendered-64 (comes with the package), hf://USER/NAME, a folder of `cssgan export`, or a run "
            "folder (then the discriminators too). Mean and deviation of the log-mels are taken from them as well."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the inputs, print the setup and stop.")] = False,
) -> None:
    """Train a model. The same command resumes a stopped run.

    Ctrl-C, SIGTERM and SIGHUP save a checkpoint and stop. RUN contains config.json, checkpoints/, stats.jsonl, samples/
    and tensorboard/.

    On several GPUs: torchrun --nproc-per-node=N -m cssgan train --run-folder RUN ... (torchrun uses --run itself;
    train.batch_size is the sum over all processes).

    Example: cssgan train --shards data/letters --run runs/first --preset smoke --set train.seed=1
    """
    from cssgan.config import override
    from cssgan.presets import preset as load_preset

    if init is not None and preset is None:
        from cssgan.training.initial_weights import start_config
        from cssgan.training.run_folder import read_init

        config = override(start_config(init, read_init(run)), set_)
    else:
        config = override(load_preset(preset or "paper"), set_)
    from cssgan.data.shards import as_dataset

    if dry_run:
        from cssgan.training.summary import describe

        for line in describe(config, as_dataset(shards), run, init=init):
            say(line)
        return
    from cssgan.training import loop

    result = loop.train(config, as_dataset(shards), run, init=init)
    if result.status == "interrupted":
        raise typer.Exit(128 + result.signal_number)
    if result.status == "finished" and os.environ.get("RANK", "0") == "0":  # only one process of torchrun prints
        progress = result.progress
        say(f"{run}: trained {progress.num_steps} steps, {progress.num_videos} videos, {progress.wall_seconds:.0f} s")
