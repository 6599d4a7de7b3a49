"""Confirmation and limits of audio that is sent to Google."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from phonics_data.contract.console import say
from phonics_data.errors import UsageError

if TYPE_CHECKING:
    from phonics_data.stages.transcribe import TranscribeOptions
    from phonics_data.storage.parts import Part
    from phonics_data.storage.workspace import Workspace
    from phonics_data.types import StageCount


def confirm_upload(workspace: Workspace, options: TranscribeOptions, part: Part | None = None) -> TranscribeOptions:
    """`options` with permission to send audio, after confirmation by the user; prints the amount.

    Raises:
        UsageError: confirmation is needed and there is no terminal.
        typer.Abort: the user did not confirm.
    """
    google = options.engine.google
    if options.engine.engine != "google" or not print_upload_estimate(workspace, options, part) or google.may_send:
        return options
    if not sys.stdin.isatty():
        raise UsageError("--engine google: nothing was sent, because there is no terminal for confirmation; add --yes")
    typer.confirm("Send it?", abort=True, err=True)
    return replace(options, engine=replace(options.engine, google=replace(google, may_send=True)))


def print_upload_estimate(workspace: Workspace, options: TranscribeOptions, part: Part | None = None) -> bool:
    """Print how many minutes of audio would be sent to Google. Returns whether there are any."""
    from phonics_data.stages.transcribe import google_usage_estimate

    usage = google_usage_estimate(workspace, options, part)
    say(
        f"Google: at most {usage.seconds / 60:.1f} minutes of audio of {usage.num_videos} videos will be sent; "
        f"{usage.sent_seconds / 60:.1f} were sent before, --max-minutes is {options.engine.google.max_minutes:g}",
        err=True,
    )
    return usage.num_videos > 0


def print_waiting_videos(workspace: Workspace, options: TranscribeOptions) -> None:
    """Print the number of videos that Google has not recognized yet, and the reason for the last one."""
    from phonics_data.stages.transcribe import videos_awaiting_engine

    if options.engine.engine == "google" and (found := videos_awaiting_engine(workspace, options)):
        say(f"{len(found)} videos wait for Google; run the same command again to continue. {found[-1][1]}")


def with_upload_messages(
    counts: Iterable[StageCount], workspace: Workspace, options: TranscribeOptions
) -> Iterator[StageCount]:
    """The `counts` of a build; prints the upload estimate after `fetch`, and the waiting videos after `transcribe`."""
    for count in counts:
        yield count
        if count.stage == "fetch" and options.engine.engine == "google":
            print_upload_estimate(workspace, options)
        if count.stage == "transcribe":
            print_waiting_videos(workspace, options)
