"""How much memory this process holds, in bytes."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most that has been resident at once, pages of files included.

    `getrusage` counts on Linux what the program before `exec` held too; the kernel's mark on the address space does not.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def own_bytes() -> int | None:
    """What is resident now without pages of files, which the system takes back when it needs them; None where it does not
    say."""
    return _status("RssAnon")


def _status(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    found = re.search(rf"^{name}:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found[1]) if found else None
