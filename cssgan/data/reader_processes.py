"""torch's DataLoader with reader processes that end with the trainer."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as MapDataset

from cssgan.errors import ReaderLostError

_PR_SET_PDEATHSIG = 1


def reader_processes(
    items: MapDataset[Any], workers: int, *, order: Iterable[Any] | None = None, timeout_seconds: float = 0
) -> Iterator[Any]:
    """The items of a map-style dataset, read in advance by `workers` processes (0: by this one).

    Args:
        order: keys of the items, in the order in which they are yielded; default: 0, 1, ...
        timeout_seconds: raise RuntimeError after so long without an item; 0: never.
    """
    with warnings.catch_warnings():
        # Readers wait for disks and networks, so more of them than CPU cores can be useful.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader = DataLoader(
            items,
            batch_size=None,
            sampler=order,
            num_workers=workers,
            collate_fn=_unchanged,
            worker_init_fn=_start_reader,
            timeout=timeout_seconds if workers else 0,
            generator=torch.Generator(),  # the loader takes a number from it, which must not come from the run's generator
        )
        return iter(loader)


def reader_lost_error(error: RuntimeError) -> ReaderLostError | None:
    """The error for a reader process that died. torch raises it at any time, from a signal handler."""
    if "DataLoader worker" not in str(error):
        return None
    return ReaderLostError(
        f"a process that reads shards died ({' '.join(str(error).split())[:120]}); run the same command again, with "
        "fewer --set data.workers=... if memory ran out"
    )


def _unchanged(item: Any) -> Any:
    return item


def _start_reader(number: int) -> None:
    """Only the trainer handles signals; its readers end with it, for whatever reason it ends."""
    os.setpgrp()  # Ctrl-C is sent to a whole process group
    if sys.platform.startswith("linux"):
        # A reader that is blocked by a full pipe would not notice that the trainer is gone.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
