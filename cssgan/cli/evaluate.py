"""`cssgan evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import (
    AsJsonOption,
    EvaluatorsOption,
    RunOption,
    ShardsOption,
    SplitName,
    WeightsOption,
    choice,
    parse_split,
    parse_weights,
)
from phonics_data.contract.console import printable_json, say
from phonics_data.errors import OptionError

SKIPPABLE = ("imagenet", "words")
"""Groups of metrics that `--skip` leaves out."""


def evaluate(
    run: RunOption,
    shards: ShardsOption,
    split: Annotated[
        list[str] | None,
        typer.Option(
            "--split",
            help="train, validation, test or unseen-styles; default: test. May be repeated: the splits are printed side by "
            "side, further ones are written to RUN/evaluation-SPLIT.json.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Report to write (JSON); default: RUN/evaluation.json.")] = None,
    num_videos: Annotated[int | None, typer.Option(help="Maximum number of videos; default: all.", min=1)] = None,
    weights: WeightsOption = "last",
    gates: Annotated[
        bool,
        typer.Option(
            "--gates",
            help="Print the gates (bounds of the demo, docs/metrics.md) of the model and of every control; exit with an "
            "error if the model misses one.",
        ),
    ] = False,
    inception: Annotated[
        Path | None,
        typer.Option(help="Inception-v3 file for IS, FID, KID; default: the file from `cssgan weights fetch`."),
    ] = None,
    i3d: Annotated[
        Path | None, typer.Option(help="I3D file for FVD, KVD; default: the file from `cssgan weights fetch`.")
    ] = None,
    lpips: Annotated[
        Path | None, typer.Option(help="VGG-16 file for LPIPS; default: the file from `cssgan weights fetch`.")
    ] = None,
    resize: Annotated[
        str,
        typer.Option(
            "--fid-resize", help="Resizing for Inception: torch-fidelity (as TensorFlow 1) or clean (as clean-fid)."
        ),
    ] = "torch-fidelity",
    frame_step: Annotated[
        int,
        typer.Option(
            "--fid-step",
            help="Frames of a clip of the cascade: FID, KID and IS use its middle and the frames beside its seams; 1: all.",
            min=1,
        ),
    ] = 8,
    evaluators: EvaluatorsOption = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Folder of rendered songs (events.parquet, regions.parquet): event measures also by region of the picture."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Device of the networks: cpu or cuda.")] = "cpu",
    per_video: Annotated[
        bool, typer.Option("--per-video", help="Also write RUN/videos.parquet, one row per video.")
    ] = False,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            help="Leave out a group of metrics: imagenet (distances in ImageNet features) or words (reading the object "
            "words). These two take two thirds of the time on a CPU. Can be repeated."
        ),
    ] = None,
    as_json: AsJsonOption = False,
) -> None:
    """Evaluate a model on clips of a dataset: similarity to the real videos, events, motion, synchrony with the audio.

    * IS, FID, KID, FVD, KVD and LPIPS need TorchScript files of pretrained networks, from `cssgan weights fetch` or from
      the options. Without them, these metrics are unavailable. This command downloads nothing.

    * Distances in ImageNet features need the extra `features`.

    * Class, synchrony and order metrics of evaluators need --evaluators.

    Example: cssgan evaluate --run runs/first --shards data/letters --split test --split train
    """
    splits: list[SplitName] = [parse_split(name) for name in dict.fromkeys(split or ["test"])]
    which = parse_weights(weights)
    skipped = {choice("--skip", group, SKIPPABLE) for group in skip or []}
    from cssgan.pretrained.shipped import shipped_models

    if out is None and not run.exists() and str(run) in shipped_models():
        raise OptionError("--out", None, f"a file for the report, because {run} comes with the package")
    from cssgan.data.shards import as_dataset
    from cssgan.evaluation.evaluate import evaluate_splits
    from cssgan.metrics.networks.pretrained import load_metric_networks
    from cssgan.metrics.networks.resize import RESIZES
    from cssgan.storage.files import cache_root
    from cssgan.training.device import keep_freed_memory

    keep_freed_memory()
    networks = load_metric_networks(
        inception=inception,
        i3d=i3d,
        lpips=lpips,
        resize=choice("--fid-resize", resize, RESIZES),
        frame_step=frame_step,
        device=device,
        cache=cache_root() / "features",
        skip_lite2="skipped (--skip imagenet)" if "imagenet" in skipped else "",
    )
    reports = evaluate_splits(
        run,
        as_dataset(shards),
        splits,
        out=out,
        num_videos=num_videos,
        gates=gates,
        which=which,
        networks=networks,
        evaluators=evaluators,
        truth=truth,
        per_video=per_video,
        read_words="words" not in skipped,
        device=device,
    )
    if as_json:
        say(*printable_json(reports[splits[0]] if len(splits) == 1 else reports, indent=1).split("\n"))
