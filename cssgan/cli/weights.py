"""`cssgan weights`: files of pretrained networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phonics_data.contract.console import say
from phonics_data.errors import OptionError

weights_app = typer.Typer(
    name="weights",
    help="Files of pretrained networks for IS, FID, KID, FVD, KVD and LPIPS.\n\nExample: cssgan weights list",
    no_args_is_help=True,
)
NamesArgument = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Files: inception, i3d, lpips.")]
FolderOption = Annotated[
    Path | None, typer.Option(help="Folder of the files; default: $CSSGAN_WEIGHTS, else ~/.local/share/cssgan/weights.")
]


@weights_app.command("list")
def list_(folder: FolderOption = None) -> None:
    """List the files: status on this machine, path, the metrics that need them, size, digest and origin.

    Example: cssgan weights list
    """
    from cssgan.metrics.networks import download

    for file in download.WEIGHTS_FILES:
        size = "unknown size" if file.num_bytes is None else f"{file.num_bytes / 1e6:.0f} MB"
        say(f"{file.name}: {download.status(file, folder)}    {download.path_of(file, folder)}")
        say(f"    for {file.needed_for}; {size}; sha256 {file.sha256 or 'unknown, not checked'}")
        say(f"    {file.url}")
        say(f"    {file.origin}")


@weights_app.command()
def fetch(
    names: NamesArgument = None,
    folder: FolderOption = None,
    url: Annotated[str | None, typer.Option(help="Another address of the file; the digest must match.")] = None,
) -> None:
    """Download weights files from their public addresses; default: inception and i3d. The same command resumes.

    A file gets its final name only if its sha256 matches the pinned one. Each file has the licence of its publisher.

    Example: cssgan weights fetch inception i3d
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from cssgan.metrics.networks import download

    default = [file.name for file in download.WEIGHTS_FILES if file.name != "lpips"]
    files = [download.weights_file(name) for name in names or default]
    if url is not None and len(files) != 1:
        raise OptionError("--url", url, "together with exactly one NAME")
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    for file in files:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(file.name, total=file.num_bytes)

            def report(done: int, total: int | None, bar: Progress = bar, task: object = task) -> None:
                bar.update(task, completed=done, total=total)  # type: ignore[arg-type]

            path = download.fetch(file, folder, url=url, progress=report)
        say(str(path))


@weights_app.command()
def check(names: NamesArgument = None, folder: FolderOption = None) -> None:
    """Compare the files with their pinned digests. The exit code is 1 if a file is missing or different.

    Example: cssgan weights check i3d
    """
    from cssgan.errors import WeightsError
    from cssgan.metrics.networks import download

    failures: list[str] = []
    for file in [download.weights_file(name) for name in names or [file.name for file in download.WEIGHTS_FILES]]:
        status = download.status(file, folder)
        say(f"{file.name}: {status}    {download.path_of(file, folder)}")
        if status != "complete":
            failures.append(f"{file.name} is {status}")
    if failures:
        raise WeightsError(f"weights: {', '.join(failures)}; run `cssgan weights fetch NAME`")
