"""The command `cssgan`: every command has a module of its own name in `cssgan.cli`.

Heavy libraries are imported inside the commands, so that ``--help`` is fast.
"""

from __future__ import annotations

import logging
import sys

import typer

from cssgan.cli.check_training import check_training
from cssgan.cli.evaluate import evaluate
from cssgan.cli.evaluators import evaluators_app
from cssgan.cli.export import export
from cssgan.cli.figures import figures
from cssgan.cli.generate import generate
from cssgan.cli.metrics import metrics_app
from cssgan.cli.push import push
from cssgan.cli.serve import serve
from cssgan.cli.show_config import show_config
from cssgan.cli.study import study
from cssgan.cli.survey import survey_app
from cssgan.cli.train import train
from cssgan.cli.weights import weights_app
from cssgan.errors import train_packages
from phonics_data.contract.console import say
from phonics_data.contract.program import PrintableGroup, set_up_console
from phonics_data.errors import UNUSABLE_PATH, PhonicsDataError, check_platform

app = typer.Typer(
    name="cssgan",
    cls=PrintableGroup,
    help="Train and use the CSSGAN: it generates a video from an image, the audio of a phrase and a class.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in (train, generate, serve, export, push, evaluate, check_training, show_config, figures, study):
    app.command()(_command)
for _group in (weights_app, evaluators_app, metrics_app, survey_app):
    app.add_typer(_group)


def main() -> None:
    """Run the command. Errors that a user can cause are one line on stderr; exit code 2 (usage) or 1 (failure)."""
    set_up_console(logging.INFO)
    try:
        check_platform()
        with train_packages():
            app()
    except PhonicsDataError as error:
        say(f"cssgan: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("cssgan: interrupted", err=True)
        sys.exit(130)
    except OSError as error:
        if error.errno not in UNUSABLE_PATH:
            raise
        path = error.filename or "the disk"
        say(
            f"cssgan: {path}: {error.strerror}; free space or choose another folder, then run the command again",
            err=True,
        )
        sys.exit(1)
