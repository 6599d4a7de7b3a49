"""Commands and options of the measures: `cssgan weights ...`, and what `evaluate` takes for pretrained networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from phonics_data.errors import OptionError

if TYPE_CHECKING:
    from cssgan.metrics.network_suite import Networks

InceptionOption = Annotated[
    Path | None, typer.Option(help="TorchScript Inception-v3 for IS, FID, KID; default: the fetched one, if any.")
]
I3dOption = Annotated[Path | None, typer.Option(help="TorchScript I3D for FVD, KVD; default: the fetched one, if any.")]
LpipsOption = Annotated[
    Path | None, typer.Option(help="TorchScript VGG-16 for LPIPS; default: the fetched one, if any.")
]
ResizeOption = Annotated[
    str, typer.Option("--fid-resize", help="torch-fidelity (as TensorFlow 1) or clean (as clean-fid).")
]
FrameStepOption = Annotated[
    int, typer.Option("--fid-step", help="FID, KID, IS see every so many frames of a video; 1: all.", min=1)
]
DeviceOption = Annotated[str, typer.Option(help="cpu or cuda: where networks run.")]

weights_app = typer.Typer(
    name="weights",
    help="Files of pretrained networks, for IS, FID, KID, FVD, KVD and LPIPS.\n\nExample: cssgan weights list",
    no_args_is_help=True,
)
NameArgument = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="inception, i3d, lpips.")]
FolderOption = Annotated[
    Path | None, typer.Option("--folder", help="Default: $CSSGAN_WEIGHTS, else ~/.local/share/cssgan/weights.")
]


metrics_app = typer.Typer(
    name="metrics",
    help="What the measures themselves are worth.\n\nExample: cssgan metrics corruptions --shards data/letters",
    no_args_is_help=True,
)


@metrics_app.callback()
def _metrics() -> None:
    """Keeps `corruptions` a command of its own."""


@metrics_app.command("corruptions")
def corruptions(
    shards: Annotated[str, typer.Option("--shards", help="Dataset whose real clips are spoilt.")],
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    size: Annotated[int, typer.Option(help="Height and width of the frames.", min=16)] = 64,
    num_videos: Annotated[int | None, typer.Option(help="At most so many clips; default: all.", min=16)] = None,
    evaluators: Annotated[
        Path | None,
        typer.Option(help="Folder of `cssgan evaluators train`; without it their measures are unavailable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the table to this file (Markdown).")] = None,
) -> None:
    """Spoil real clips in known ways and strengths, and show which measures order them: a table in Markdown.

    Blur, noise, freezing, shuffling, videos of another class, sounds of another clip. In bold what a measure must order and
    does; with a dagger what it must and does not, which is also listed on stderr and ends with exit code 1.

    Example: cssgan metrics corruptions --shards data/letters --evaluators evaluators
    """
    from cssgan.data import resident
    from cssgan.data.shards import as_dataset
    from cssgan.errors import MeasuresError
    from cssgan.evaluation import corruption_check
    from cssgan.evaluators import checkpoint, sampling
    from cssgan.evaluators.spec import EvaluatorSpec
    from cssgan.types import SPLITS, Split

    wanted: list[Split] = [name for name in SPLITS if name == split]
    if not wanted:
        raise OptionError("--split", split, ", ".join(SPLITS))
    trained = None if evaluators is None else checkpoint.load(evaluators)
    spec = EvaluatorSpec(size=size) if trained is None else trained.spec
    clips = resident.load(as_dataset(shards), wanted[0], size)
    if trained is not None:
        trained.check(size=size, num_frames=spec.num_frames, label_set=clips.label_set)
    data = sampling.real_windows(clips, spec, most=num_videos or len(clips.clips))
    rows = corruption_check.measure(data, trained, say=lambda line: typer.echo(line, err=True))
    text = corruption_check.markdown(rows)
    typer.echo(text)
    if out is not None:
        out.write_text(text)
    if wrong := corruption_check.disordered(rows):
        raise MeasuresError(f"{len(wrong)} corruptions are not ordered: {'; '.join(wrong)}")


@weights_app.command("list")
def list_weights(folder: FolderOption = None) -> None:
    """Which files there are, what needs them, where they come from, and how they stand here.

    Example: cssgan weights list
    """
    from cssgan.metrics.networks import download

    for file in download.KNOWN:
        size = "unknown length" if file.num_bytes is None else f"{file.num_bytes / 1e6:.0f} MB"
        typer.echo(f"{file.name}: {download.state(file, folder)}    {download.path_of(file, folder)}")
        typer.echo(f"    for {file.needed_for}; {size}; sha256 {file.sha256 or 'not known: whatever comes is taken'}")
        typer.echo(f"    {file.url}")
        typer.echo(f"    {file.origin}")


@weights_app.command("fetch")
def fetch_weights(
    names: NameArgument = None,
    folder: FolderOption = None,
    url: Annotated[str | None, typer.Option(help="Another home of the file; the digest must be the same.")] = None,
) -> None:
    """Download files of weights from their public homes; the same command goes on where it stopped.

    A file gets its name only once its sha256 is the pinned one. Each has the licence of its publisher.

    Example: cssgan weights fetch inception i3d
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from cssgan.metrics.networks import download

    chosen = [download.known(name) for name in names or [file.name for file in download.KNOWN if file.name != "lpips"]]
    if url is not None and len(chosen) != 1:
        raise OptionError("--url", url, "together with one NAME")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    for file in chosen:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(file.name, total=file.num_bytes)

            def report(done: int, total: int | None, bar: Progress = bar, task: object = task) -> None:
                bar.update(task, completed=done, total=total)  # type: ignore[arg-type]

            path = download.fetch(file, folder, url=url, progress=report)
        typer.echo(str(path))


@weights_app.command("check")
def check_weights(names: NameArgument = None, folder: FolderOption = None) -> None:
    """Compare the files here with their pinned digests; exit code 1 if one is missing or another file.

    Example: cssgan weights check i3d
    """
    from cssgan.errors import WeightsError
    from cssgan.metrics.networks import download

    bad: list[str] = []
    for file in [download.known(name) for name in names or [file.name for file in download.KNOWN]]:
        state = download.state(file, folder)
        typer.echo(f"{file.name}: {state}    {download.path_of(file, folder)}")
        if state != "whole":
            bad.append(f"{file.name} is {state}")
    if bad:
        raise WeightsError(f"weights: {', '.join(bad)}; run `cssgan weights fetch NAME`")


def pretrained(
    inception: Path | None, i3d: Path | None, lpips: Path | None, resize: str, frame_step: int, device: str
) -> Networks:
    """The networks that the options of a command name."""
    from cssgan.data.resident import cache_root
    from cssgan.metrics.networks.open import load
    from cssgan.metrics.networks.resize import RESIZES

    for way in RESIZES:
        if way == resize:
            return load(
                inception=inception, i3d=i3d, lpips=lpips, way=way, frame_step=frame_step, device=device,
                keep=cache_root() / "features",
            )  # fmt: skip
    raise OptionError("--fid-resize", resize, ", ".join(RESIZES))
