"""Where a run computes."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import torch

from cssgan.config import Config
from phonics_data.errors import OptionError


def choose_device(config: Config) -> torch.device:
    """`train.device`; auto means a GPU where torch finds one."""
    if config.train.device == "cuda" and not torch.cuda.is_available():
        raise OptionError("train.device", "cuda", "auto or cpu: torch finds no GPU here")
    if config.train.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda")


def device_named(text: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda``; raises `OptionError` for another, or for a GPU that is not there."""
    if text not in ("auto", "cpu", "cuda"):
        raise OptionError("--device", text, "auto, cpu, cuda")
    if text == "cuda" and not torch.cuda.is_available():
        raise OptionError("--device", text, "auto or cpu: torch finds no GPU here")
    return torch.device("cuda" if text != "cpu" and torch.cuda.is_available() else "cpu")


def free_bytes(device: torch.device) -> int | None:
    """Memory that the device has left; None where nobody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def keep_freed_memory() -> None:
    """Let glibc keep what is freed instead of giving it back: it halves the page faults of a CPU step.

    Changes nothing where the C library has no such knob.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    mallopt(mmap_threshold, 1 << 25)  # the most that glibc takes
    mallopt(trim_threshold, (1 << 31) - 1)
