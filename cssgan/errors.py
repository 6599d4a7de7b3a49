"""The errors that only the trainer can raise; all hang in the tree of `phonics_data.errors`.

::

    PhonicsDataError
    |-- UsageError
    |   |-- ConfigError        a field of the configuration: unknown name, wrong type, out of range   (exit code 2)
    |   `-- ArrayError           a tensor that a model is called with: wrong shape, type or range       (exit code 2)
    |-- InputError
    |   |-- CheckpointError    a checkpoint is missing, truncated, or of another program
    |   |-- RunError           a run folder belongs to another configuration or dataset
    |   |-- WeightsError       a file of a pretrained network is missing, of another hash, or no such network
    |   |-- FeaturesError      kept features are of another protocol, network or set of videos
    |   `-- EvaluatorError        a folder of evaluators is missing, damaged, or was trained on videos of another kind
    |-- MemoryFullError        a step does not fit into the memory of the device                   (exit code 1)
    |-- DeviceLostError        the GPU failed, or another process of the run is gone               (exit code 1)
    |-- ReaderLostError        a process that reads shards died                                    (exit code 1)
    |-- MeasuresError          measures do not order what they should                              (exit code 1)
    |-- StudyError             runs of a study failed; the others were done                        (exit code 1)
    |-- StoppedError           a signal stopped a row of runs; what is done is kept                (exit code 128 + signal)
    `-- DivergenceError        no finite numbers, or a game that is over; the last good checkpoint was kept
"""

from __future__ import annotations

from phonics_data.errors import InputError, PhonicsDataError, UsageError


class ConfigError(UsageError):
    """A field of the configuration is wrong.

    Args:
        field: dotted name as in ``--set``, e.g. ``loss.order_weight``.
        got: the value that was given.
        allowed: type and range, in words.
        exists: whether there is such a field.
    """

    def __init__(self, field: str, got: object, allowed: str, *, exists: bool = True) -> None:
        advice = f"; change it with --set {field}=VALUE" if exists else ""
        super().__init__(f"{field}: got {got!r}, allowed: {allowed}{advice}")
        self.field = field


class ArrayError(UsageError):
    """A tensor that a model is called with is wrong.

    Args:
        name: of the argument, with its axes.
        got: shape, type or range that came, in words.
        allowed: what should come, in words.
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


class MeasuresError(PhonicsDataError):
    pass


class StudyError(PhonicsDataError):
    pass


class StoppedError(PhonicsDataError):
    """A signal came while one run of several was trained; everything is saved.

    Args:
        signal_number: gives the exit code that shells give a program that the signal ended.
    """

    def __init__(self, message: str, *, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
