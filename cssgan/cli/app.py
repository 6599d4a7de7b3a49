"""The `cssgan` command: it parses, builds a config, calls the library and prints.

Only what `--help` needs is imported here; each command imports its own part of the library when it runs.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from cssgan.cli.evaluators import EvaluatorsOption, evaluators_app
from cssgan.cli.figures import figures
from cssgan.cli.metrics import (
    DeviceOption,
    FrameStepOption,
    I3dOption,
    InceptionOption,
    LpipsOption,
    ResizeOption,
    metrics_app,
    weights_app,
)
from cssgan.cli.study import study
from cssgan.cli.survey import survey_app
from phonics_data.errors import InputError, OptionError, PhonicsDataError

app = typer.Typer(
    name="cssgan",
    help="Train and use the CSSGAN: one picture + the sound of a letter's phrase -> a video that moves with the sound.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Which = Literal["last", "ema"]
SplitName = Literal["train", "validation", "test"]

# torchrun takes --run for the beginning of an option of its own, so there is a longer name.
RunOption = Annotated[Path, typer.Option("--run", "--run-folder", help="Folder of the run: checkpoints, log, samples.")]
ShardsOption = Annotated[
    str,
    typer.Option("--shards", help="Dataset with {train,validation,test}-*.tar: a folder, or an address (s3://...)."),
]
ModelOption = Annotated[
    Path, typer.Option("--run", "--run-folder", help="Folder of the run, or of a model that `cssgan export` wrote.")
]
WhichOption = Annotated[str, typer.Option("--weights", help="last, or ema: the running average, if the run keeps one.")]
SetOption = Annotated[
    list[str], typer.Option("--set", metavar="FIELD=VALUE", help="Change one field of the preset; may be repeated.")
]


@app.command()
def train(
    shards: ShardsOption,
    run: RunOption,
    preset: Annotated[
        str,
        typer.Option(
            help="paper, tuned, lean, tiny, small or smoke, or a model of the comparison such as mocogan-tiny; see `cssgan "
            "show-config PRESET`."
        ),
    ] = "paper",
    set_: SetOption = [],  # noqa: B006 - typer reads the default, nothing changes it
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would run.")] = False,
) -> None:
    """Train a model, or go on with one: the same command resumes where the run stopped.

    Ctrl-C, SIGTERM or SIGHUP saves and stops. RUN holds config.json, checkpoints/, stats.jsonl, samples/ and tensorboard/.

    On several GPUs: torchrun --nproc-per-node=N -m cssgan train --run-folder RUN ... (torchrun keeps --run for itself;
    train.batch_size is that of all processes together).

    Example: cssgan train --shards data/letters --run runs/first --preset smoke --set train.seed=1
    """
    from cssgan.config import override
    from cssgan.presets import preset as named

    config = override(named(preset), set_)
    from cssgan.data.shards import as_dataset

    if dry_run:
        from cssgan.training.summary import describe

        for line in describe(config, as_dataset(shards), run):
            typer.echo(line)
        return
    from cssgan.training import loop

    result = loop.train(config, as_dataset(shards), run)
    if result.status == "interrupted":
        raise typer.Exit(128 + result.signal_number)
    if result.status == "finished" and os.environ.get("RANK", "0") == "0":  # of torchrun's processes one speaks
        seconds = result.progress.wall_seconds
        typer.echo(
            f"{run}: trained {result.progress.num_steps} steps, {result.progress.num_videos} videos, {seconds:.0f} s"
        )


@app.command()
def generate(
    run: ModelOption,
    out: Annotated[Path, typer.Option(help="The mp4 to write, with the sound; with --pairs: a folder of them.")],
    image: Annotated[
        Path | None, typer.Option(help="Start picture (png, jpeg, webp); its central square is used.")
    ] = None,
    audio: Annotated[Path | None, typer.Option(help="Sound (wav, flac, ogg, mp3) of any length and rate.")] = None,
    label: Annotated[str | None, typer.Option(help="Class, such as A; with --pairs: of those that name none.")] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Many at once: a CSV (image, audio; label, out, seed), or a folder CLASS/NAME.png with CLASS/NAME.wav."
        ),
    ] = None,
    frame_rate: Annotated[
        str | None, typer.Option(help="Frames a second, such as 25 or 30000/1001; default: that of the training set.")
    ] = None,
    scale: Annotated[
        int | None, typer.Option(help="Repeat each pixel so many times; default: up to 256 pixels.", min=1, max=64)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise, in models that have any.", min=0)] = 0,
    batch: Annotated[int, typer.Option(help="Videos that are made at once, with --pairs.", min=1)] = 8,
    weights: WhichOption = "last",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Generate a video for one picture and one sound, or for many. Long sounds: the cascade goes on from its last frame.

    With --pairs OUT holds the videos, videos.csv, and rejections.csv if something could not be used.

    Example: cssgan generate --run runs/first --image a.png --audio apple.wav --label A --out apple.mp4
    """
    which = _which(weights)
    rate = None if frame_rate is None else _frame_rate(frame_rate)
    if pairs is not None and (image is not None or audio is not None):
        raise OptionError("--pairs", str(pairs), "without --image and --audio")
    from cssgan.training.device import device_named

    where = device_named(device)
    if pairs is not None:
        _generate_pairs(
            run, pairs, out, label=label, rate=rate, scale=scale, seed=seed, batch=batch, which=which, where=where
        )
        return
    if image is None or audio is None or label is None:
        missing = [
            name for name, value in (("--image", image), ("--audio", audio), ("--label", label)) if value is None
        ]
        raise OptionError(missing[0], "nothing", "a value; or many at once with --pairs")
    from cssgan.inference.generate import generate_video, load_generator

    video = generate_video(
        load_generator(run, which=which, device=where),
        image=image,
        audio=audio,
        label=label,
        out=out,
        frame_rate=rate,
        scale=scale,
        seed=seed,
    )
    typer.echo(f"{video.path}: {video.num_frames} frames at {float(video.frame_rate):g} frames/s, class {video.label}")


def _generate_pairs(
    run: Path,
    source: Path,
    out: Path,
    *,
    label: str | None,
    rate: Fraction | None,
    scale: int | None,
    seed: int,
    batch: int,
    which: Which,
    where: Any,
) -> None:
    from cssgan.inference.batch import REFUSED, generate_pairs, read_pairs
    from cssgan.inference.export import load_generator

    wanted = read_pairs(source, label=label, seed=seed)
    made = generate_pairs(
        load_generator(run, which=which, device=where), wanted, out, frame_rate=rate, scale=scale, max_batch=batch
    )
    before = f", {made.num_kept} of them made before" if made.num_kept else ""
    typer.echo(f"{out}: {len(made.videos)} videos{before}")
    if made.refused:
        raise InputError(
            f"{len(made.refused)} of {len(wanted.pairs) + len(wanted.refused)} pairs could not be used, the first: "
            f"{made.refused[0].reason}; all stand in {out / REFUSED}"
        )


@app.command()
def export(
    run: RunOption,
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier export there is replaced.")],
    weights: WhichOption = "last",
) -> None:
    """Write a trained generator as safetensors + config.json + model card, for cssgan.load_pretrained and generate.

    Example: cssgan export --run runs/first --out exported
    """
    which = _which(weights)
    from cssgan.inference.export import export as write

    typer.echo(f"{write(run, out, which=which)}: model.safetensors, config.json, README.md")


@app.command()
def evaluate(
    run: RunOption,
    shards: ShardsOption,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    out: Annotated[Path | None, typer.Option(help="Where the report goes (JSON); default: into RUN.")] = None,
    num_videos: Annotated[int | None, typer.Option(help="At most so many videos; default: all.", min=1)] = None,
    weights: WhichOption = "last",
    gates: Annotated[bool, typer.Option("--gates", help="Hold the results against the gates of the demo.")] = False,
    inception: InceptionOption = None,
    i3d: I3dOption = None,
    lpips: LpipsOption = None,
    resize: ResizeOption = "torch-fidelity",
    frame_step: FrameStepOption = 8,
    evaluators: EvaluatorsOption = None,
    device: DeviceOption = "cpu",
    each_video: Annotated[
        bool, typer.Option("--each-video", help="Also write a row for each video, videos.parquet.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
) -> None:
    """Evaluator a model on held-out clips: against the real videos, their motion and their sound.

    Measures of pretrained networks (IS, FID, KID, FVD, KVD, LPIPS) are computed where `cssgan weights fetch` has laid
    their files or an option names them; without them they are unavailable. Nothing is downloaded here. Those of evaluators
    trained on real clips need --evaluators.

    Example: cssgan evaluate --run runs/first --shards data/letters --split test --gates
    """
    name, which = _split(split), _which(weights)
    from cssgan.cli.metrics import pretrained
    from cssgan.data.shards import as_dataset
    from cssgan.evaluation.run import evaluate_run
    from cssgan.training.device import keep_freed_memory

    keep_freed_memory()
    networks = pretrained(inception, i3d, lpips, resize, frame_step, device)
    result = evaluate_run(
        run,
        as_dataset(shards),
        split=name,
        out=out,
        num_videos=num_videos,
        gates=gates,
        which=which,
        networks=networks,
        evaluators=evaluators,
        each_video=each_video,
        device=device,
    )
    if as_json:
        typer.echo(json.dumps(result, indent=1))


@app.command()
def check_training(
    shards: ShardsOption,
    out: Annotated[Path, typer.Option(help="Folder for both runs, their evaluations and check_training.json.")],
    preset: Annotated[
        str | None, typer.Option(help="What is trained; default: paper where there is a GPU, small on a CPU.")
    ] = None,
    overfit_steps: Annotated[int, typer.Option(help="Steps on the eight clips.", min=1)] = 5000,
    set_: SetOption = [],  # noqa: B006 - as in train
) -> None:
    """Show that the model learns: eight clips by heart, then clips of songs that it was not trained on.

    Ends with a table of what was reached and what is asked; exit code 1 if a row is missed. The same command goes on
    where it stopped.

    Example: cssgan check-training --shards check-training/dataset --out check-training/cssgan
    """
    from cssgan.config import override
    from cssgan.evaluation.overfit_check import check_training as run
    from cssgan.evaluation.overfit_check import preset_for
    from cssgan.presets import preset as named

    config = override(named(preset or preset_for()), set_)
    run(config, Path(shards), out, overfit_steps=overfit_steps)


@app.command("show-config")
def show_config(
    preset: Annotated[
        str, typer.Argument(help="paper, tuned, lean, tiny, smoke, or another of docs/baselines.md.")
    ] = "paper",
    set_: SetOption = [],  # noqa: B006 - as in train
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as in RUN/config.json.")] = False,
) -> None:
    """Print every field of a configuration: value, what is allowed, what it does.

    Example: cssgan show-config smoke --set loss.order_weight=0.5
    """
    from cssgan.config import options, override, to_json
    from cssgan.presets import preset as named

    config = override(named(preset), set_)
    if as_json:
        typer.echo(json.dumps(to_json(config), indent=1))
        return
    for option in options(config):
        typer.echo(f"{option.name} = {option.value}    [{option.allowed}] {option.help}")


app.add_typer(weights_app)
app.add_typer(evaluators_app)
app.add_typer(metrics_app)
app.command()(figures)
app.add_typer(survey_app)
app.command()(study)


def _which(text: str) -> Which:
    for name in get_args(Which):
        if text == name:
            return name
    raise OptionError("--weights", text, ", ".join(get_args(Which)))


def _split(text: str) -> SplitName:
    for name in get_args(SplitName):
        if text == name:
            return name
    raise OptionError("--split", text, ", ".join(get_args(SplitName)))


def _frame_rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 120:
        raise OptionError("--frame-rate", text, "1 to 120 frames a second, such as 25 or 30000/1001")
    return rate


def main() -> None:
    """Run the command; errors a user can cause become one line on stderr and exit code 2 (usage) or 1 (failure)."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except PhonicsDataError as error:
        typer.echo(f"cssgan: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("cssgan: interrupted", err=True)
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        where = error.filename or "the disk"
        typer.echo(
            f"cssgan: {where}: {error.strerror}; make room or choose another folder, then run it again", err=True
        )
        sys.exit(1)
