"""`cssgan show-config`."""

from __future__ import annotations

from typing import Annotated

import typer

from cssgan.cli.options import PRESET_HELP, AsJsonOption, SetOption
from phonics_data.contract.console import printable_json, say


def show_config(
    preset: Annotated[str, typer.Argument(help=PRESET_HELP)] = "paper",
    set_: SetOption = [],  # noqa: B006 - as in train
    as_json: AsJsonOption = False,
) -> None:
    """Print every field of a configuration: value, allowed values and meaning. --json prints it as in RUN/config.json.

    Example: cssgan show-config smoke --set loss.order_weight=0.5
    """
    from cssgan.config import options, override, to_json
    from cssgan.presets import preset as load_preset

    config = override(load_preset(preset), set_)
    if as_json:
        say(*printable_json(to_json(config), indent=1).split("\n"))
        return
    for option in options(config):
        say(f"{option.name} = {option.value}    [{option.allowed}] {option.help}")
