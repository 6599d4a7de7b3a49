"""Errors that users of phonics_data and cssgan can see.

    PhonicsDataError                 base; its message is one line: what, got, allowed, what to do next
    |-- UsageError                   the command or call is wrong                          (exit code 2)
    |   |-- OptionError              an option's value is out of range
    |   `-- AudioError               an audio array that no recognizer accepts: stereo, not float32, NaN
    |-- InputError                   a file or folder that the user named is unusable      (exit code 1)
    |   |-- ManifestError            a manifest is missing, unreadable, or has invalid rows
    |   |-- TableError               a parquet table is missing or has another schema
    |   |-- DatasetError             a dataset folder or shard is missing, empty or has another schema version
    |   `-- NothingKeptError         a stage rejected all of its input; the next stage would have none
    |-- ItemError                    one item (video, segment, clip) failed; carries a Rejection reason
    |   |-- MediaError               not a video, no audio stream, does not decode
    |   |-- CaptionError             a caption file does not parse
    |   |-- RecognitionError         a recognizer failed on one audio
    |   |-- WorkerDiedError          the process that worked on the item died, also when it was repeated alone
    |   `-- FetchError               a download failed
    |       `-- DownloadError        one subclass per cause of failure (phonics_data/stages/fetch/failures.py)
    |-- FetchStoppedError            fetching stopped early: bot check, rate limit, no network (phonics_data/stages/fetch/stage.py)
    |-- EngineError                  a recognizer cannot work at all: no model, credentials refused
    |   `-- EnginePausedError        temporary: quota used up, limit of minutes reached, no network; a later run retries the item
    |-- RemoteError                  an address refused a request, or cannot be reached
    |-- WorkspaceLockedError         another process is using the folder
    |-- PlatformError                this operating system is not supported
    `-- DependencyError              an optional package or binary is missing; the message states how to install it

An `ItemError` never ends a run: the stage that catches it writes a rejection row and continues with the next item.
"""

from __future__ import annotations

import errno
import sys

UNUSABLE_PATH = frozenset(
    (
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EACCES,
        errno.EROFS,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.ENOENT,
    )
)
"""Values of `OSError.errno` that the programs report as one line: the disk or a path of the user cannot be used."""


class PhonicsDataError(Exception):
    """Base class. `exit_code` is the exit code of the command line."""

    exit_code = 1


class UsageError(PhonicsDataError):
    exit_code = 2


class OptionError(UsageError):
    """An option is out of range.

    Args:
        option: the flag as the user types it, e.g. ``--frame-rate``.
        got: the given value.
        allowed: the allowed values, in words.
    """

    def __init__(self, option: str, got: object, allowed: str) -> None:
        super().__init__(f"{option}: got {got!r}, allowed: {allowed}")


class AudioError(UsageError):
    pass


class InputError(PhonicsDataError):
    pass


class ManifestError(InputError):
    pass


class TableError(InputError):
    pass


class DatasetError(InputError):
    pass


class NothingKeptError(InputError):
    pass


class ItemError(PhonicsDataError):
    """One item cannot be used; the run continues.

    Args:
        reason: snake_case name from `phonics_data.types.Reason`; rejections are counted by it.
        detail: one line for the user: what was got and what to do.
        measured: the measured value, if the reason has one.
        threshold: the limit that was missed, if the reason has one.
    """

    def __init__(
        self, reason: str, detail: str, *, measured: float | None = None, threshold: float | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.measured = measured
        self.threshold = threshold

    def __reduce__(self) -> tuple[object, ...]:
        # Errors are pickled by the local executor; the default __reduce__ would call __init__ with one argument.
        return _rebuild_item_error, (type(self), self.reason, self.detail, self.measured, self.threshold)


def _rebuild_item_error(
    cls: type[ItemError], reason: str, detail: str, measured: float | None, threshold: float | None
) -> ItemError:
    return cls(reason, detail, measured=measured, threshold=threshold)


class MediaError(ItemError):
    pass


class CaptionError(ItemError):
    pass


class RecognitionError(ItemError):
    pass


class WorkerDiedError(ItemError):
    pass


class FetchError(ItemError):
    pass


class EngineError(PhonicsDataError):
    pass


class EnginePausedError(EngineError):
    pass


class RemoteError(PhonicsDataError):
    pass


class WorkspaceLockedError(PhonicsDataError):
    pass


class PlatformError(PhonicsDataError):
    pass


class DependencyError(PhonicsDataError):
    pass


def check_platform() -> None:
    """Both programs call it first. Raises `PlatformError` on Windows, which lacks calls that the code needs."""
    if sys.platform == "win32":
        raise PlatformError("Windows is not supported; install and run this in WSL2 (Windows Subsystem for Linux)")
