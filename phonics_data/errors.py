"""Every error that a user of phonics_data or cssgan can meet.

::

    PhonicsDataError                 base; its message is one line: what, got, allowed, what to do next
    |-- UsageError                   the command or call itself is wrong               (exit code 2)
    |   |-- OptionError              an option's value is out of its range
    |   `-- AudioError               an array of sound that no recognizer takes: stereo, no float32, NaN
    |-- InputError                   a file or folder the user named is unusable       (exit code 1)
    |   |-- ManifestError            manifest missing, unreadable, or with bad rows
    |   |-- TableError               a parquet table is missing or of another schema
    |   `-- DatasetError             a dataset folder or shard is missing, empty or of another schema version
    |-- ItemError                    one item (video, segment, clip) failed; carries a Rejection reason
    |   |-- MediaError               not a video, no audio stream, does not decode
    |   |-- CaptionError             a caption file does not parse
    |   |-- RecognitionError         a recognizer failed on one audio
    |   `-- FetchError               a download failed
    |       `-- DownloadError        the server's answer, told apart by cause (phonics_data/stages/fetch/failures.py)
    |-- QueueStoppedError            fetching ended early: a bot check, a rate limit, no network (phonics_data/stages/fetch/stage.py)
    |-- EngineError                  a recognizer cannot work at all: no model, credentials refused
    |   `-- EnginePausedError        not now: quota used up, cap of minutes reached, no network; the item waits for a later run
    |-- WorkspaceLockedError         another process works in the same folder
    `-- DependencyError              an optional package or binary is missing; says how to get it

An `ItemError` never ends a run: the stage that meets it writes a rejection row and goes on with the next item.
"""

from __future__ import annotations


class PhonicsDataError(Exception):
    """Base of every error here. `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(PhonicsDataError):
    exit_code = 2


class OptionError(UsageError):
    """An option is out of range.

    Args:
        option: the flag as the user types it, e.g. ``--frame-rate``.
        got: the value that was given.
        allowed: the values that are allowed, in words.
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


class ItemError(PhonicsDataError):
    """One item cannot be used; the run goes on.

    Args:
        reason: snake_case name from `phonics_data.types.Reason`; the key by which rejections are counted.
        detail: one line for a person: what was got and what to do.
        measured: the measured value, if the reason has one.
        threshold: the limit that it missed, if the reason has one.
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
        # Errors cross process borders (the local executor); the default would call __init__ with one argument.
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


class FetchError(ItemError):
    pass


class EngineError(PhonicsDataError):
    pass


class EnginePausedError(EngineError):
    pass


class WorkspaceLockedError(PhonicsDataError):
    pass


class DependencyError(PhonicsDataError):
    pass
