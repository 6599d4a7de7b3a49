"""The command `phonics-data review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from phonics_data.cli.options import Work, parse_frame_rate
from phonics_data.contract.console import say
from phonics_data.errors import NothingKeptError, OptionError


def review(
    work: Work = Path("work"),
    manifest: Annotated[
        str, typer.Option(help="Choose the candidates of this manifest (path or http URL) instead of reviewing WORK.")
    ] = "",
    out: Annotated[
        Path, typer.Option(help="With --manifest: CSV manifest to write; the decisions are in OUT.decisions.csv.")
    ] = Path("chosen.csv"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0: any free port.")] = 8010,
    root_path: Annotated[str, typer.Option(help="Path prefix at a reverse proxy, such as /review.")] = "",
    public_host: Annotated[
        list[str] | None, typer.Option(help="Host name of a reverse proxy; can be repeated. Others are refused.")
    ] = None,
    trusted_proxy: Annotated[str, typer.Option(help="Proxy whose X-Forwarded-Proto is trusted.")] = "127.0.0.1",
    reviewer: Annotated[str, typer.Option(help="Name in reviews.csv; default: the user of this machine.")] = "",
    frame_rate: Annotated[str, typer.Option(help="Frame rate of the clips, as for `segment`.")] = "25",
    min_frames: Annotated[int, typer.Option(min=1, help="Shorter segments are marked.")] = 14,
    max_frames: Annotated[int, typer.Option(min=1, help="Longer segments are marked.")] = 100,
) -> None:
    """Review the segments of WORK in a browser: confirm, move, relabel, add, drop. Needs the extra `review`.

    The decisions are saved in WORK/reviews.csv after each change; `phonics-data segment` applies them. The page is on this
    machine only. Ctrl-C ends it.

    With --manifest, the rows of a manifest are accepted or rejected, with their titles, lengths and thumbnails; the accepted ones are
    written to OUT.

    Example: phonics-data review --work work
    Example: phonics-data review --manifest manifests/alphabet.csv --out chosen.csv
    """
    from phonics_data.review.serve import serve_candidates, serve_review
    from phonics_data.segmentation.length import LengthLimits
    from phonics_data.storage.workspace import Workspace

    if manifest:
        serve_candidates(
            manifest,
            out,
            port=port,
            base=root_path,
            reviewer=reviewer,
            public_hosts=public_host or (),
            trusted_proxy=trusted_proxy,
            announce=lambda url: say(f"{manifest}: open {url} ; press Ctrl-C to stop"),
        )
        return
    rate = parse_frame_rate(frame_rate)
    if rate is None:
        raise OptionError("--frame-rate", frame_rate, "a rate; the frames of the pages have one rate for all videos")
    workspace = Workspace(work, must_exist=True)
    if not workspace.table("words").exists():
        say(
            f"{work}: has imported labels and no words; decisions about it can be exported (`phonics-data export-labels`), but "
            "`segment` does not apply them",
            err=True,
        )
    serve_review(
        workspace,
        LengthLimits(frame_rate=rate, min_frames=min_frames, max_frames=max_frames),
        port=port,
        base=root_path,
        reviewer=reviewer,
        public_hosts=public_host or (),
        trusted_proxy=trusted_proxy,
        announce=lambda url: say(f"{work}: open {url} ; press Ctrl-C to stop"),
    )


def export_labels(
    out: Annotated[Path, typer.Argument(help="Folder to write, one file per video.")],
    work: Work = Path("work"),
    format_: Annotated[
        str, typer.Option("--format", help="audacity (.txt), eaf (ELAN), textgrid (Praat) or csv.")
    ] = "textgrid",
) -> None:
    """Write the segments of WORK, with all decisions, as label files of other programs; `import labels` reads them.

    Example: phonics-data export-labels labels --work work --format eaf
    """
    from phonics_data.review.label_exchange import export_labels as run
    from phonics_data.review.store import ReviewStore
    from phonics_data.storage.workspace import Workspace

    suffixes = {"audacity": ".txt", "eaf": ".eaf", "textgrid": ".TextGrid", "csv": ".csv"}
    if format_ not in suffixes:
        raise OptionError("--format", format_, ", ".join(suffixes))
    written = run(ReviewStore(Workspace(work, must_exist=True)), out, suffixes[format_])
    if not written:
        raise NothingKeptError(
            f"export-labels: no video of {work} has segments; run `phonics-data status --work {work}`, which says what to do"
        )
    say(f"{out}: {len(written)} files")
