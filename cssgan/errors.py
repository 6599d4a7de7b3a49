"""Errors of the trainer; all derive from those of `phonics_data.errors`.

PhonicsDataError
|-- UsageError
|   |-- ConfigError        unknown, mistyped or out-of-range field of the configuration     (exit code 2)
|   `-- ArrayError         a model input has a wrong shape, type or range                   (exit code 2)
|-- InputError
|   |-- CheckpointError    a checkpoint is missing, damaged, or of another format
|   |-- RunError           a run folder belongs to another configuration or dataset
|   |-- WeightsError       a file of a pretrained network is missing or has a wrong hash, or the network is unknown
|   |-- FeaturesError      cached features belong to another protocol, network or set of videos
|   `-- EvaluatorError     a folder of evaluators is missing, damaged, or was trained on other video formats
|-- MemoryFullError        a step does not fit into the memory of the device                (exit code 1)
|-- DeviceLostError        the GPU failed, or another process of the run ended              (exit code 1)
|-- ReaderLostError        a reader process died                                            (exit code 1)
|-- MetricError            a metric does not rank known corruptions correctly               (exit code 1)
|-- StudyError             runs of a study failed; the others finished                      (exit code 1)
|-- StoppedError           a signal stopped a series of runs; finished work is kept         (exit code 128 + signal)
`-- DivergenceError        a loss or weight is not finite, or training collapsed; the last good checkpoint was kept
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from phonics_data.errors import DependencyError, InputError, PhonicsDataError, UsageError

TRAIN_PACKAGES = ("librosa", "safetensors", "tensorboard", "torch")
"""Modules of the extra ``train``: without them nothing here trains, generates or evaluates."""


def missing_package(error: ImportError, what: str, extra: str) -> DependencyError:
    """The error for a package that cannot be imported.

    Args:
        what: the command that needs it.
        extra: the extra that brings it, unless it is one of `TRAIN_PACKAGES`.
    """
    name = (error.name or str(error)).partition(".")[0]
    if name in TRAIN_PACKAGES:
        extra = "train"
    return DependencyError(f"{what} needs {name}, which is not installed; run: pip install 'phonics-cssgan[{extra}]'")


@contextmanager
def train_packages() -> Generator[None]:
    """Turns a missing package of the extra ``train`` into `DependencyError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in TRAIN_PACKAGES:
            raise
        raise missing_package(error, "this command", "train") from error


class ConfigError(UsageError):
    """A field of the configuration is invalid.

    Args:
        field: dotted name as in ``--set``, e.g. ``loss.order_weight``.
        got: the given value.
        allowed: type and range, in words.
        exists: whether the field exists.
    """

    def __init__(self, field: str, got: object, allowed: str, *, exists: bool = True) -> None:
        advice = f"; change it with --set {field}=VALUE" if exists else ""
        super().__init__(f"{field}: got {got!r}, allowed: {allowed}{advice}")
        self.field = field


class ArrayError(UsageError):
    """A tensor that a model is called with is invalid.

    Args:
        name: name of the argument, with its axes.
        got: actual shape, type or range, in words.
        allowed: expected shape, type or range, in words.
    """

    def __init__(self, name: str, got: str, allowed: str) -> None:
        super().__init__(f"{name}: got {got}, allowed: {allowed}")


class CheckpointError(InputError):
    pass


class RunError(InputError):
    pass


class WeightsError(InputError):
    pass


class FeaturesError(InputError):
    pass


class EvaluatorError(InputError):
    pass


class MemoryFullError(PhonicsDataError):
    pass


class DeviceLostError(PhonicsDataError):
    pass


class ReaderLostError(PhonicsDataError):
    pass


class DivergenceError(PhonicsDataError):
    pass


class MetricError(PhonicsDataError):
    pass


class StudyError(PhonicsDataError):
    pass


class StoppedError(PhonicsDataError):
    """A signal arrived during one of several runs; everything is saved.

    Args:
        signal_number: the exit code is 128 plus this number, as for a program that the signal terminated.
    """

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
