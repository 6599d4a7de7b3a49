"""What both programs have in common: log records, warnings, tracebacks and errors of usage are printable lines (`console`)."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from typer.core import TyperGroup

from phonics_data.contract.address import is_address, not_local
from phonics_data.contract.console import printable, say


class PrintableFormatter(logging.Formatter):
    """One printable line for each record, and one for each line of its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        lines = [record.getMessage()]
        if record.exc_info:
            lines += self.formatException(record.exc_info).split("\n")
        return "\n".join(printable(line) for line in lines)


def set_up_console(level: int) -> None:
    """Print log records from `level` on, warnings and tracebacks of uncaught errors as printable lines on standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter())
    logging.basicConfig(level=level, handlers=[handler])
    for library in ("aiobotocore", "botocore", "httpx", "httpx2"):  # they report every request, with its signature
        logging.getLogger(library).setLevel(logging.WARNING)

    def warning_line(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, line: object = None
    ) -> str:
        return f"{printable(f'{filename}:{lineno}: {category.__name__}: {message}')}\n"

    def print_traceback(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        for part in traceback.format_exception(kind, error, trace):
            say(*part.rstrip("\n").split("\n"), err=True)

    warnings.formatwarning = warning_line
    sys.excepthook = print_traceback


class PrintableGroup(TyperGroup):
    """A program whose errors of usage are printable: the arguments of a shell can be names of files (``verify *``).

    Its options and arguments that are paths refuse addresses (``s3://bucket/work``), from which `pathlib.Path` would make a folder ``s3:``.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        _refuse_addresses(self)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except Exception as error:
            _make_printable(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            _make_printable(error)
            raise


def _refuse_addresses(command: Any) -> None:
    """Make the path parameters of a command, and of those below it, check the text before it becomes a path."""
    for child in getattr(command, "commands", {}).values():
        _refuse_addresses(child)
    for parameter in command.params:
        parameter.process_value = _local_only(parameter, parameter.process_value)


def _local_only(parameter: Any, process_value: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def process(ctx: Any, value: Any) -> Any:
        found = process_value(ctx, value)
        texts, paths = (one if isinstance(one, list | tuple) else [one] for one in (value, found))
        for text, path in zip(texts, paths, strict=False):
            if isinstance(path, Path) and isinstance(text, str) and is_address(text):
                name = max(parameter.opts, key=len)
                raise not_local(text, name if name.startswith("-") else name.upper())
        return found

    return process


def _make_printable(error: Exception) -> None:
    """Change the texts of an error of the command line parser. The help as an error message has line breaks of its own."""
    if hasattr(error, "format_message") and type(error).__name__ != "NoArgsIsHelpError":
        for name in ("message", "option_name"):
            if isinstance(text := getattr(error, name, None), str):
                setattr(error, name, printable(text))
        possibilities = getattr(error, "possibilities", None)
        if isinstance(possibilities, Sequence) and not isinstance(possibilities, str):
            error.possibilities = [printable(str(one)) for one in possibilities]  # pyright: ignore[reportAttributeAccessIssue]
