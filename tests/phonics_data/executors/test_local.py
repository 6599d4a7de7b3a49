from __future__ import annotations

import os
import signal

import pytest

from phonics_data.errors import ItemError, MediaError
from phonics_data.executors.local import map_items


def square(number: int) -> int:
    if number == 13:
        raise MediaError("not_a_video", "thirteen is no video", measured=13.0)
    if number == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 7000:
        raise ZeroDivisionError("a defect")
    return number * number


@pytest.mark.parametrize("workers", [1, 2])
def test_item_errors_are_results(workers: int) -> None:
    results = dict(map_items(square, [3, 13, 5], workers=workers))
    assert (results[3], results[5]) == (9, 25)
    error = results[13]
    assert isinstance(error, MediaError)
    assert (error.reason, error.detail, error.measured) == ("not_a_video", "thirteen is no video", 13.0)


def test_death_of_a_worker_fails_only_its_item() -> None:
    results = dict(map_items(square, [1, 2, 99, 3, 4, 5], workers=2))
    error = results.pop(99)
    assert isinstance(error, ItemError)
    assert error.reason == "worker_died"
    assert results == {1: 1, 2: 4, 3: 9, 4: 16, 5: 25}


@pytest.mark.parametrize("workers", [1, 2])
def test_defects_end_the_map(workers: int) -> None:
    with pytest.raises(ZeroDivisionError, match="a defect"):
        list(map_items(square, [1, 7000, 2], workers=workers))
