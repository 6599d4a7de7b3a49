"""The commands `phonics-data manifest ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phonics_data.cli.option_groups import option_groups
from phonics_data.cli.options import Manifest, NetworkArguments, Sleep, Work
from phonics_data.contract.console import say
from phonics_data.errors import InputError

manifest_app = typer.Typer(
    help="Check, extend, compare and lock manifests.", no_args_is_help=True, rich_markup_mode=None
)


@manifest_app.command("check")
def check(manifest: Manifest) -> None:
    """Print all faults of a manifest with row and column.

    Example: phonics-data manifest check manifests/alphabet.csv
    """
    from phonics_data.storage.manifest import check_manifest

    faults = check_manifest(manifest)
    for fault in faults:
        say(fault)
    if faults:
        raise InputError(f"{manifest}: {len(faults)} faults; correct the rows listed above")
    say(f"{manifest}: no fault")


@manifest_app.command("add")
@option_groups
def add(
    *,
    urls: Annotated[list[str], typer.Argument(help="URLs of the videos' pages.")],
    to: Annotated[Path, typer.Option(help="CSV manifest to extend; created if it does not exist.")],
    network: NetworkArguments,
    sleep: Sleep = (1.0, 3.0),
) -> None:
    """Add rows from the metadata on the videos' pages, without downloading the videos. Check kind and letters afterwards.

    Example: phonics-data manifest add "https://www.youtube.com/watch?v=hq3yfQnllfQ" --to my.csv
    """
    from phonics_data.stages.fetch.describe import describe_urls
    from phonics_data.stages.fetch.options import FetchOptions
    from phonics_data.storage.manifest import add_rows
    from phonics_data.types import SourceVideo

    options = FetchOptions(
        cookies=network.cookies,
        cookies_from_browser=network.cookies_from_browser,
        proxy=network.proxy,
        sleep_seconds=sleep,
    )
    num_failed = 0
    for found in describe_urls(urls, options):
        if isinstance(found, SourceVideo):
            state = "added" if add_rows(to, [found]) else "already in the manifest"
            say(f"{found.video_id}  {found.kind} {found.letters}  {found.title}  {state}")
        else:
            num_failed += 1
            say(f"{found[0]}: {found[1]}", err=True)
    if num_failed:
        raise InputError(f"manifest add: {num_failed} of {len(urls)} URLs failed; the reasons are listed above")


@manifest_app.command("lock")
def lock(
    work: Work = Path("work"),
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("alphabet.lock.csv"),
) -> None:
    """Write the exact version of every video in WORK (id, SHA-256, duration, format, date), for citation.

    Example: phonics-data manifest lock --work work --out alphabet.lock.csv
    """
    from phonics_data.stages.fetch.lockfile import write_lockfile
    from phonics_data.storage.workspace import Workspace

    say(f"{out}: {write_lockfile(Workspace(work, must_exist=True), out)} videos")


@manifest_app.command("diff")
def diff(
    old: Annotated[str, typer.Argument(help="Manifest or lock file.")],
    new: Annotated[str, typer.Argument(help="Manifest or lock file.")],
) -> None:
    """Print added, removed and changed rows between two manifests or lock files.

    Example: phonics-data manifest diff alphabet.lock.csv other.lock.csv
    """
    from phonics_data.storage.manifest import diff_manifests

    for line in diff_manifests(old, new) or ["no difference"]:
        say(line)
