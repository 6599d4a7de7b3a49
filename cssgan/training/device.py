"""Choice of the device, its free memory, and the memory allocator of CPU training."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import torch

from cssgan.config import Config
from phonics_data.errors import OptionError


def choose_device(config: Config) -> torch.device:
    """The device of `train.device`. Raises `OptionError` for a GPU that torch does not find."""
    return _device(config.train.device, "train.device")


def parse_device(text: str) -> torch.device:
    """The device of ``--device``: ``auto``, ``cpu`` or ``cuda``. Raises `OptionError` for others and a missing GPU."""
    if text not in ("auto", "cpu", "cuda"):
        raise OptionError("--device", text, "auto, cpu, cuda")
    return _device(text, "--device")


def _device(name: str, option: str) -> torch.device:
    """``auto``: a GPU if there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError(option, name, "auto or cpu: torch finds no GPU here")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def free_bytes(device: torch.device) -> int | None:
    """Free memory of the device; None if the system does not report it."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def keep_freed_memory() -> None:
    """Configure glibc's malloc to keep freed memory, which halves the page faults of a CPU step.

    Does nothing on other systems and C libraries.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    mallopt(mmap_threshold, 1 << 25)  # glibc's maximum
    mallopt(trim_threshold, (1 << 31) - 1)
