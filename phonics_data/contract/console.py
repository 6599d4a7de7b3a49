"""The outlet of both programs: what reaches a terminal or a log file has no control characters.

Titles, file names, answers of servers and messages of libraries can contain escape sequences, which a terminal executes, and line
breaks, which look like further lines of a log. They are shown escaped, ``\\x1b[2J``.

* `say` prints lines. The commands print with nothing else, except tables of rich, whose cells are `printable`.
* `printable_json` is JSON for other programs, or for people.
* `phonics_data.contract.program` does the same for log records, warnings, tracebacks and errors of usage.
"""

from __future__ import annotations

import json
import sys
from typing import TextIO


def printable(text: str) -> str:
    """`text` on one line: control characters, line breaks, characters that change the direction of text, and lone surrogates are
    written as ``\\x1b``, ``\\n``, ``\\u202e``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_json(value: object, *, indent: int | None = None) -> str:
    """`value` as JSON in which such characters are escaped, so that it has the same value."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    if text.isprintable():
        return text
    # Outside of strings, JSON text has only line breaks.
    return "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)


def say(*lines: object, err: bool = False, file: TextIO | None = None) -> None:
    """Print each of `lines` as one line on standard output, or standard error, or `file`."""
    out = file or (sys.stderr if err else sys.stdout)
    text = "".join(f"{printable(str(line))}\n" for line in lines or ("",))
    # The encoding of a terminal can lack characters that are printable.
    encoding = getattr(out, "encoding", None) or "utf-8"
    out.write(text.encode(encoding, "backslashreplace").decode(encoding))
    out.flush()
