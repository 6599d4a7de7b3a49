"""Memory of this process, in bytes."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """Peak resident memory, including memory-mapped files.

    On Linux, `getrusage` also counts the program before `exec`; VmHWM does not.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return _read_status("VmHWM") or unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def anonymous_bytes() -> int | None:
    """Resident anonymous memory: without memory-mapped files, which the system can reclaim. None if it is not reported."""
    return _read_status("RssAnon")


def _read_status(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    found = re.search(rf"^{name}:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else None
