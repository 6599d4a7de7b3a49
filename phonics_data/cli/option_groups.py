"""Groups of options: dataclasses whose fields become options of every command that has the group as a parameter."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import field, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import typer


def option(default: Any, help: str, **typer_arguments: Any) -> Any:
    """A field of a group of options; the flag is the field's name with dashes, and ``--no-...`` where the default is True.

    Args:
        typer_arguments: further arguments of `typer.Option`.
    """
    return field(default=default, metadata={"help": help, **typer_arguments})


def option_groups(function: Callable[..., None]) -> Callable[..., None]:
    """Decorator for Typer commands: replaces each parameter that is a group of options by the options.

    An option that several groups or the function itself have in common is one option, which sets all of them.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        members = _options_of(groups[name]) if name in groups else {name: (hints[name], parameter.default)}
        for member, (hint, default) in members.items():
            new = inspect.Parameter(member, inspect.Parameter.KEYWORD_ONLY, annotation=hint, default=default)
            parameters.setdefault(member, new)

    @functools.wraps(function)
    def command(**values: Any) -> None:
        arguments = {
            name: group(**{one.name: values[one.name] for one in fields(group)}) for name, group in groups.items()
        }
        function(**{name: values[name] for name in hints if name in values} | arguments)

    del command.__wrapped__  # type: ignore[attr-defined]  # Typer must see the new signature
    command.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]
    command.__annotations__ = {name: parameter.annotation for name, parameter in parameters.items()}
    return command


def _flag(name: str, default: Any) -> str:
    """The flag of a field; what is on by default has a second one that turns it off."""
    flag = name.replace("_", "-")
    return f"--{flag}/--no-{flag}" if default is True else f"--{flag}"


def _options_of(group: Any) -> dict[str, tuple[Any, Any]]:
    """Field name -> (annotation for Typer, default)."""
    hints = get_type_hints(group)
    return {
        one.name: (
            Annotated[hints[one.name], typer.Option(_flag(one.name, one.default), **one.metadata)],
            one.default,
        )
        for one in fields(group)
    }
