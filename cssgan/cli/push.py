"""`cssgan push`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import WeightsOption, choice, parse_weights
from phonics_data.contract.console import say


def push(
    model: Annotated[
        str,
        typer.Argument(
            help="Run folder, folder of `cssgan export`, or the name of a model that comes with the package."
        ),
    ],
    address: Annotated[str, typer.Argument(help="hf://USER/NAME.")],
    weights: WeightsOption = "last",
    stored_as: Annotated[
        str, typer.Option(help="Type of the weights in the file, of a run: float32, float16 or bfloat16.")
    ] = "float32",
    about: Annotated[Path | None, typer.Option(help="As for `cssgan export`, of a run.")] = None,
    evaluation: Annotated[Path | None, typer.Option(help="As for `cssgan export`, of a run.")] = None,
    private: Annotated[bool, typer.Option("--private", help="A new repository is private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent, and stop.")] = False,
) -> None:
    """Send a model to the Hugging Face Hub: model.safetensors, config.json and the model card. Needs the extra `cloud`.

    `cssgan generate --model hf://USER/NAME` and cssgan.HubGenerator.from_pretrained("USER/NAME") read it. The token is that of
    `hf auth login` or HF_TOKEN.

    Example: cssgan push runs/first hf://me/letters-64 --private
    """
    from phonics_data.contract.hub import hub_library

    which = parse_weights(weights)
    hub_library()
    from cssgan.inference.hub import plan_push
    from cssgan.inference.hub import push as run
    from cssgan.pretrained.exported import STORED_AS, StoredAs

    kind: StoredAs = choice("--stored-as", stored_as, STORED_AS)
    plan = plan_push(model, address, which=which, stored_as=kind, about=about, evaluation=evaluation)
    if dry_run:
        for name, content in plan.files.items():
            say(f"{'same' if name in plan.same else 'send':<6} {len(content):>15,}  {name}")
    else:
        run(plan, private=private)
    num_files = len(plan.files) - len(plan.same)
    say(
        f"{plan.repository.address}: licence {plan.license}; {'would send' if dry_run else 'sent'} {num_files} of {len(plan.files)} files, "
        f"{plan.num_bytes_to_send:,} bytes"
    )
