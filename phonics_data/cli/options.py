"""The options that several commands share, and how their text becomes options of the library."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonics_data.errors import OptionError

if TYPE_CHECKING:
    from phonics_data.recognizers.google import GoogleOptions
    from phonics_data.stages.shard.options import ShardOptions
    from phonics_data.stages.transcribe import TranscribeOptions
    from phonics_data.storage.workspace import Workspace
    from phonics_data.types import StageCount

Manifest = Annotated[str, typer.Argument(help="CSV or parquet manifest: a path or an http address.")]
Work = Annotated[Path, typer.Option("--work", help="Folder for what the stages make; the same folder resumes.")]
Out = Annotated[Path, typer.Option("--out", help="Dataset folder to write.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes.")]
MaxHeight = Annotated[
    int | None,
    typer.Option("--max-height", help="Tallest picture to fetch, in pixels; by default what --size needs."),
]
CookieFile = Annotated[Path | None, typer.Option("--cookies", help="Cookies in Netscape format; read, never written.")]
Browser = Annotated[
    str, typer.Option("--cookies-from-browser", help="Take cookies from this browser, e.g. firefox or chrome:Default.")
]
Proxy = Annotated[str, typer.Option("--proxy", help="Address of a proxy for everything that is fetched.")]
LimitRate = Annotated[str, typer.Option("--limit-rate", help="Bytes a second and worker, e.g. 500K or 2M.")]
Sleep = Annotated[
    tuple[float, float], typer.Option("--sleep", help="Shortest and longest pause between two videos, in seconds.")
]
FetchWorkers = Annotated[int, typer.Option("--workers", help="Videos at a time; they share one pace.")]
Tier = Annotated[
    int, typer.Option("--tier", help="Weakest evidence to accept: 1 strong, 2 agreeing lists, 3 one list.")
]
FrameRate = Annotated[str, typer.Option("--frame-rate", help="Frames a second of the dataset, e.g. 25 or 30000/1001.")]
MinFrames = Annotated[int, typer.Option("--min-frames", min=1, help="Shortest clip, in frames (paper: 14).")]
MaxFrames = Annotated[int, typer.Option("--max-frames", min=1, help="Longest clip, in frames (paper: 100).")]
Size = Annotated[int, typer.Option("--size", min=8, help="Width and height of a clip, in pixels (paper: 64).")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the split and of the order of samples.")]
Fit = Annotated[
    str, typer.Option("--fit", help="crop, pad, squash, or letterbox-detect (black bars removed, then crop).")
]
FiltersFile = Annotated[
    Path | None,
    typer.Option("--filters", help="TOML file with other limits of the quality filters, e.g. min_seconds = 1.0."),
]
DropStatic = Annotated[bool, typer.Option("--drop-static", help="Leave clips of a still picture out.")]
FramesForm = Annotated[
    str, typer.Option("--frames", help="npy (raw, quick to read), or mp4 (small, not lossless) for large frames.")
]
SplitRatios = Annotated[str, typer.Option("--split-ratios", help="Shares of train, validation, test.")]
ShardBytes = Annotated[int, typer.Option("--shard-bytes", help="Wanted size of a shard.")]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        help="Who listens where captions give no alphabet: auto (whisper if it and its model are here, else nobody), "
        "captions (nobody), whisper, google.",
    ),
]
Model = Annotated[
    str,
    typer.Option("--model", help="Whisper's: tiny.en, base.en, small.en, ... large-v3, or a folder that holds one."),
]
Device = Annotated[str, typer.Option("--device", help="Where Whisper runs: auto (a GPU if there is one), cpu, cuda.")]
Align = Annotated[
    str,
    typer.Option("--align", help="Forced alignment of words that were heard: auto (if installed), always, never."),
]
Ocr = Annotated[
    str, typer.Option("--ocr", help="Read letters on the ocr: auto (where words leave doubt), always, never.")
]
Yes = Annotated[
    bool, typer.Option("--yes", help="Let Google hear what it needs, without a question; see --max-minutes.")
]
MaxMinutes = Annotated[
    float,
    typer.Option(
        "--max-minutes",
        envvar="PHONICS_MAX_MINUTES",
        help="Of sound that Google may get from this WORK, all runs together.",
    ),
]
GoogleApi = Annotated[
    str, typer.Option("--google-api", envvar="PHONICS_GOOGLE_API", help="Version of its interface: v1 or v2.")
]
GoogleProject = Annotated[
    str,
    typer.Option(
        "--google-project", envvar="GOOGLE_CLOUD_PROJECT", help="Google's project, for v2; by default the credentials'."
    ),
]
GoogleLocation = Annotated[
    str,
    typer.Option(
        "--google-location", envvar="PHONICS_GOOGLE_LOCATION", help="Where Google listens: global, us, eu or a region."
    ),
]
GoogleModel = Annotated[
    str,
    typer.Option(
        "--google-model", envvar="PHONICS_GOOGLE_MODEL", help="Google's model; by default its own (v2: long)."
    ),
]
BucketName = Annotated[
    str,
    typer.Option(
        "--bucket", envvar="PHONICS_GOOGLE_BUCKET", help="gs://BUCKET/FOLDER by which longer songs go to Google whole."
    ),
]
LabelSetName = Annotated[
    str | None, typer.Option("--label-set", help="Name of the label set; `letters` for A to Z. Default: the folder's.")
]

ShardLabelSet = Annotated[
    str, typer.Option("--label-set", help="Name of the label set; that of the import, where labels were given.")
]


def parse_frame_rate(text: str) -> Fraction:
    """`text` as an exact frame rate; raises `OptionError` unless it is a fraction in (0, 240]."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 240:
        raise OptionError("--frame-rate", text, "a number or fraction over 0 and up to 240, e.g. 25 or 30000/1001")
    return rate


def shard_options(
    *,
    frame_rate: str = "25",
    size: int = 64,
    seed: int = 0,
    fit: str = "crop",
    filters: Path | None = None,
    drop_static: bool = False,
    split_ratios: str = "0.8,0.1,0.1",
    shard_bytes: int = 100_000_000,
    label_set: str = "letters",
    frames: str = "npy",
    near_duplicates: bool = True,
) -> ShardOptions:
    import dataclasses
    from typing import cast

    from phonics_data.contract.shard import FramesForm as ContractFramesForm
    from phonics_data.quality.filters import FilterOptions, read_filter_options
    from phonics_data.quality.split import Ratios
    from phonics_data.stages.shard.options import DatasetFit
    from phonics_data.stages.shard.stage import ShardOptions

    try:
        train, validation, test = (float(part) for part in split_ratios.split(","))
    except ValueError:
        raise OptionError("--split-ratios", split_ratios, "three shares, e.g. 0.8,0.1,0.1") from None
    limits = read_filter_options(filters) if filters is not None else FilterOptions()
    if drop_static:
        limits = dataclasses.replace(limits, drop_static=True)
    if not near_duplicates:
        limits = dataclasses.replace(limits, max_image_hash_bits=0, max_audio_hash_bits=0)
    return ShardOptions(
        frame_rate=parse_frame_rate(frame_rate),
        width=size,
        height=size,
        fit=cast("DatasetFit", fit),
        seed=seed,
        ratios=Ratios(train=train, validation=validation, test=test),
        filters=limits,
        target_shard_bytes=shard_bytes,
        label_set=label_set,
        frames=cast("ContractFramesForm", frames),
    )


def transcribe_options(
    *,
    engine: str = "auto",
    model: str = "tiny.en",
    device: str = "auto",
    align: str = "auto",
    ocr: str = "auto",
    language: str = "en",
    ignore_captions: bool = False,
    google: GoogleOptions | None = None,
) -> TranscribeOptions:
    from typing import cast

    from phonics_data.recognizers import whisper
    from phonics_data.recognizers.engines import AlignMode, EngineName, EngineOptions
    from phonics_data.recognizers.google import GoogleOptions
    from phonics_data.stages.transcribe import OcrMode, TranscribeOptions

    return TranscribeOptions(
        language=language,
        ocr=cast("OcrMode", ocr),
        engine=EngineOptions(
            engine=cast("EngineName", engine),
            whisper=whisper.WhisperOptions(model=model, device=cast("whisper.Device", device)),
            google=google or GoogleOptions(),
            align=cast("AlignMode", align),
        ),
        ignore_captions=ignore_captions,
    )


def google_options(
    *, yes: bool, max_minutes: float, api: str, project: str, location: str, model: str, bucket: str
) -> GoogleOptions:
    import os
    from typing import cast

    from phonics_data.recognizers.google import ApiVersion, GoogleOptions

    return GoogleOptions(
        api_version=cast("ApiVersion", api),
        project=project,
        location=location,
        model=model,
        bucket=bucket,
        endpoint=os.environ.get("PHONICS_GOOGLE_ENDPOINT", ""),
        may_send=yes,
        max_minutes=max_minutes,
    )


def with_leave(workspace: Workspace, options: TranscribeOptions) -> TranscribeOptions:
    """`options` with leave to send, if there is anything to send and the user says yes; says how much it is.

    Raises:
        UsageError: there is nobody to ask.
        typer.Abort: the user said no.
    """
    import dataclasses

    from phonics_data.errors import UsageError

    google = options.engine.google
    if options.engine.engine != "google" or not print_to_send(workspace, options) or google.may_send:
        return options
    if not sys.stdin.isatty():
        raise UsageError("--engine google: nothing was sent, for there is nobody to ask; say --yes to send it")
    typer.confirm("Send it?", abort=True, err=True)
    google = dataclasses.replace(google, may_send=True)
    return dataclasses.replace(options, engine=dataclasses.replace(options.engine, google=google))


def print_to_send(workspace: Workspace, options: TranscribeOptions) -> bool:
    """Say how many minutes Google would get; whether there are any."""
    from phonics_data.stages.transcribe import what_to_send

    plan = what_to_send(workspace, options)
    typer.echo(
        f"Google: {plan.seconds / 60:.1f} minutes of sound at most, of {plan.num_videos} videos, are to be sent; "
        f"{plan.sent_seconds / 60:.1f} were sent before, --max-minutes is {options.engine.google.max_minutes:g}",
        err=True,
    )
    return plan.num_videos > 0


def print_waiting(workspace: Workspace, options: TranscribeOptions) -> None:
    """Say which videos Google has not heard yet though it should, and why."""
    from phonics_data.stages.transcribe import waiting

    if options.engine.engine == "google" and (found := waiting(workspace, options)):
        typer.echo(f"{len(found)} videos wait for Google; the same command goes on with them. {found[-1][1]}")


def told_before_sending(
    counts: Iterable[StageCount], workspace: Workspace, options: TranscribeOptions
) -> Iterator[StageCount]:
    """`counts` of a build; between fetching and listening, how many minutes Google will get."""
    for count in counts:
        yield count
        if count.stage == "fetch" and options.engine.engine == "google":
            print_to_send(workspace, options)
        if count.stage == "transcribe":
            print_waiting(workspace, options)


def print_counts(counts: Iterable[StageCount]) -> None:
    from phonics_data.cli.progress import stage_line

    for count in counts:
        typer.echo(stage_line(count))
