"""`cssgan serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import WeightsOption, parse_weights


def serve(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="Name of a model that comes with the package, run folder, folder of `cssgan export`, or hf://USER/NAME.",
        ),
    ] = "rendered-64",
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0: any free port.", min=0, max=65535)] = 7860,
    max_seconds: Annotated[
        float, typer.Option(help="Maximum length of the sound in seconds.", min=0.1, max=600)
    ] = 20.0,
    max_megabytes: Annotated[int, typer.Option(help="Maximum size of a file in 10^6 bytes.", min=1, max=1000)] = 20,
    weights: WeightsOption = "last",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """A web form on this machine: upload a picture or draw a card, an object, upload or record a sound, see the video with its sound.

    It binds to 127.0.0.1 only and sends nothing to other servers. Ctrl-C stops it; uploads and videos are deleted then.
    Needs the extra `ui`.

    Example: cssgan serve --model rendered-64 --port 8080
    """
    which = parse_weights(weights)
    from cssgan.web_form.serve import check_installed, serve_form

    check_installed()  # before a model is loaded
    from cssgan.inference.export import load_generator
    from cssgan.training.device import parse_device
    from cssgan.web_form.inputs import FormLimits

    generator = load_generator(model, which=which, device=parse_device(device))
    limits = FormLimits(max_seconds=max_seconds, max_megabytes=max_megabytes)
    serve_form(generator, name=Path(model).name, port=port, limits=limits)
