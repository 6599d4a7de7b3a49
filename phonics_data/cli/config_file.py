"""Options of a command in a TOML file: read with ``--config``, and written to ``WORK/options/<command>.toml``."""

from __future__ import annotations

import inspect
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, cast, get_args, get_origin

import typer

from phonics_data.cli.option_groups import option
from phonics_data.contract.files import write_bytes
from phonics_data.errors import OptionError
from phonics_data.storage.parts import Part
from phonics_data.storage.toml_file import read_toml
from phonics_data.storage.workspace import Workspace

_ALLOWED: dict[Any, tuple[str, tuple[type, ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("an integer", (int,)),
    float: ("a number", (int, float)),
    str: ("a string", (str, int, float)),  # numbers: a frame rate, a transfer rate
    Path: ("a string (path)", (str,)),
    list: ("a list of strings", (list,)),
    tuple: ("a list of numbers", (list,)),
}
"""Type of an option -> (allowed values in words, allowed TOML types)."""
_ITEMS: dict[Any, tuple[type, ...]] = {list: (str,), tuple: (int, float)}


def _read(ctx: typer.Context, path: Path | None) -> Path | None:
    """Make the values of the file the defaults of the command.

    Raises:
        InputError: the file is missing or not TOML.
        OptionError: an unknown option, or a value of the wrong type.
    """
    if path is None:
        return None
    parameters = _parameters(ctx)
    types = {name: p.annotation for name, p in inspect.signature(cast("Any", ctx.command.callback)).parameters.items()}
    values: dict[str, Any] = {}
    for key, value in read_toml("--config", path).items():
        name = parameters.get(key.replace("-", "_"))
        if name is None:
            raise OptionError(f"--config {path}", key, f"the options of `{ctx.command_path}`: {', '.join(parameters)}")
        if name in values:
            raise OptionError(f"--config {path}", key, f"{name.replace('_', '-')} once, with - or with _")
        values[name] = _checked(f"--config {path}: {key}", types[name], value)
    ctx.default_map = values
    return path


def _parameters(ctx: typer.Context) -> dict[str, str]:
    """Name of each argument and option on the command line, without dashes -> name of the parameter."""
    names = {param.opts[0].removeprefix("--").replace("-", "_"): str(param.name) for param in ctx.command.params}
    return {name: parameter for name, parameter in names.items() if parameter not in ("config", "help")}


def _checked(option: str, annotation: Any, value: Any) -> Any:
    hint = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if isinstance(hint, UnionType):
        (hint,) = (arg for arg in get_args(hint) if arg is not NoneType)
    kind: Any = get_origin(hint) or hint
    words, types = _ALLOWED[kind]
    items = value if kind in _ITEMS else ()
    if type(value) not in types or any(type(item) not in _ITEMS[kind] for item in items):
        raise OptionError(option, value, words)
    if kind is tuple and len(value) != len(get_args(hint)):
        raise OptionError(option, value, f"a list of {len(get_args(hint))} numbers")
    return str(value) if kind is str else value


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """The option ``--config``."""

    config: Path | None = option(
        None,
        "TOML file with options of this command by name, e.g. max_height = 360; the command line and environment variables have priority.",
        is_eager=True,
        callback=_read,
    )


@contextmanager
def open_workspace(
    ctx: typer.Context, work: Path, *, must_exist: bool = False, part: Part | None = None
) -> Generator[Workspace]:
    """The locked workspace of a command, or of a part of it. The options in effect are written to ``WORK/options/<command>.toml``.

    The file can be given to ``--config``. Comments replace options without a value, secrets (cookies; proxies and URLs
    with credentials), whose values are hidden, ``--yes``, ``--part``, and paths that are not valid UTF-8.
    """
    workspace = Workspace(work, must_exist=must_exist)
    with workspace.lock(str(ctx.info_name), part):
        lines = [_line(name, parameter, ctx.params[parameter]) for name, parameter in _parameters(ctx).items()]
        write_bytes(workspace.root / "options" / f"{ctx.info_name}.toml", "".join(lines).encode())
        yield workspace


def _line(name: str, parameter: str, value: Any) -> str:
    from phonics_data.stages.fetch.redaction import HIDDEN, Redactor, proxy_secrets

    if value is None:
        return f"# {name} is not set\n"
    # JSON strings, numbers, booleans and arrays are valid TOML values.
    text = json.dumps(value, ensure_ascii=False, default=str)
    if value and parameter in ("cookies", "cookies_from_browser"):
        return f"# {name} = {HIDDEN}\n"
    if parameter == "part":
        return f"# {name} = {text}, not stored: the options of all parts are equal\n"
    if parameter == "yes":
        return f"# {name} = {text}, not stored: each run needs its own confirmation\n"
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        return f"# {name} = {text.encode('ascii', 'backslashreplace').decode()}\n"
    text = text.replace("\x7f", "\\u007f")
    redacted = Redactor(proxy_secrets(value) if parameter == "proxy" else ()).redact(text)
    return f"{name} = {text}\n" if redacted == text else f"# {name} = {redacted}\n"
