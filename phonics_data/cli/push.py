"""`phonics-data push`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from phonics_data.cli.options import AsJson
from phonics_data.contract.console import printable_json, say


def push(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    address: Annotated[str, typer.Argument(help="s3://BUCKET/FOLDER or hf://datasets/USER/NAME.")],
    manifest: Annotated[
        str | None,
        typer.Option(
            help="Manifest that the dataset was built from: it is sent too. Needed without --i-have-the-rights."
        ),
    ] = None,
    i_have_the_rights: Annotated[
        bool,
        typer.Option(
            "--i-have-the-rights",
            help="Send the shards too. The makers of the source videos hold the rights in video and audio; you confirm that they permit "
            "the redistribution of the clips.",
        ),
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="A new repository of the Hub is private.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Verify the dataset, list what would be sent, and stop.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify a dataset and send it to an S3 bucket or to the Hugging Face Hub. Resumable; needs the extra `cloud`.

    Without --i-have-the-rights only tables and manifest are sent, from which others rebuild the clips.

    Files that are there with the same size and hash are not sent again. dataset.json is last: without it nobody reads the dataset.
    Credentials are those of the libraries (AWS_* variables, ~/.aws, `hf auth login`, HF_TOKEN).

    Example: phonics-data push dataset hf://datasets/me/letters --manifest my-songs.csv --dry-run
    Example: phonics-data push dataset s3://bucket/letters --i-have-the-rights
    """
    from phonics_data.cli.progress import progress
    from phonics_data.push import PushOptions, plan_push
    from phonics_data.push import push as run

    options = PushOptions(has_rights=i_have_the_rights, manifest=manifest, private=private)
    if dry_run:
        plan = plan_push(dataset, address, options)
    else:
        with progress() as on_progress:
            plan = run(dataset, address, options, on_progress=on_progress)
    if as_json:
        shown = {"dry_run": dry_run, **dataclasses.asdict(plan), "num_bytes_to_send": plan.num_bytes_to_send}
        say(*printable_json(shown, indent=1).split("\n"))
        return
    if dry_run:
        say(*(f"{step.action:<6} {step.num_bytes:>15,}  {step.name}" for step in plan.steps))
    say(*plan.notes) if plan.notes else None
    num_files = sum(step.action == "send" for step in plan.steps)
    what = "with shards" if plan.has_shards else "tables and manifest only"
    say(
        f"{plan.address}: {plan.num_clips} clips, {what}; {'would send' if dry_run else 'sent'} {num_files} of "
        f"{sum(step.action != 'delete' for step in plan.steps)} files, {plan.num_bytes_to_send:,} bytes"
    )
