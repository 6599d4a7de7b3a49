"""Which engine listens where captions leave off, and its settings in one place; nothing heavy is imported before one is opened."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from phonics_data.errors import DependencyError, EngineError, OptionError
from phonics_data.recognizers import aligner, google, whisper
from phonics_data.recognizers.aligner import AlignOptions
from phonics_data.recognizers.google import Google, GoogleOptions
from phonics_data.recognizers.interface import Recognizer
from phonics_data.recognizers.whisper import Whisper, WhisperOptions

EngineName = Literal["auto", "captions", "whisper", "google"]
AlignMode = Literal["auto", "always", "never"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """Who listens to a video whose captions give no alphabet.

    Args:
        engine: ``captions``: nobody. ``whisper``, ``google``: that one, and it is an error when it cannot work. ``auto``:
            Whisper if it is installed and its model lies on this machine, else nobody; nothing is downloaded, sent or paid.
        whisper: how Whisper listens.
        google: how Google is asked, and what it may cost.
        align: whether words get their times from the aligner: ``auto`` where it is installed.
        align_options: how.
    """

    engine: EngineName = "auto"
    whisper: WhisperOptions = field(default_factory=WhisperOptions)
    google: GoogleOptions = field(default_factory=GoogleOptions)
    align: AlignMode = "auto"
    align_options: AlignOptions = field(default_factory=AlignOptions)

    def __post_init__(self) -> None:
        if self.engine not in get_args(EngineName):
            raise OptionError("--engine", self.engine, "auto, captions, whisper or google")
        if self.align not in get_args(AlignMode):
            raise OptionError("--align", self.align, "auto, always or never")


def chosen(options: EngineOptions) -> Literal["whisper", "google"] | None:
    """The engine that these options mean on this machine, or None.

    Raises:
        DependencyError: one was asked for by name and its package is missing.
    """
    if options.engine == "captions":
        return None
    if options.engine == "auto":
        has_model = whisper.is_installed() and whisper.local_model(options.whisper.model) is not None
        return "whisper" if has_model else None
    if options.engine == "whisper" and not whisper.is_installed():
        raise DependencyError(whisper.HOW_TO_INSTALL)
    return options.engine


def aligns(options: EngineOptions) -> bool:
    """Whether words get their times from the aligner here.

    Raises:
        DependencyError: it was asked for and is missing.
    """
    if options.align == "always" and not aligner.is_installed():
        raise DependencyError(aligner.HOW_TO_INSTALL)
    return options.align != "never" and aligner.is_installed()


def identity(options: EngineOptions) -> list[object]:
    """What tells whether an earlier run with these options would have given the same words, without loading a model."""
    name = chosen(options)
    parts: list[object] = []
    if name == "whisper":
        # The number of threads changes no word.
        settings = dataclasses.replace(options.whisper, threads=0)
        parts += [whisper.WHISPER_VERSION, importlib.metadata.version("faster-whisper"), dataclasses.asdict(settings)]
    elif name == "google":
        parts += [google.version_of(options.google), google.settings(options.google)]
    if aligns(options):
        parts += [aligner.aligner_version(), dataclasses.asdict(options.align_options)]
    return parts


@functools.lru_cache(maxsize=1)
def open_engine(options: EngineOptions, folder: Path | None = None) -> Recognizer | None:
    """The engine that these options mean, ready to work; the last one stays open for the videos that follow.

    Args:
        folder: where an engine that is paid keeps what it was told; such an engine does not work without.

    Raises:
        DependencyError, EngineError, InputError: see the engines.
    """
    name = chosen(options)
    if name == "google":
        if folder is None:
            raise EngineError(
                "--engine google: works in a working folder alone; run phonics-data transcribe --work FOLDER"
            )
        return Google(options.google, folder=folder / "google")
    return Whisper(options.whisper, may_download=options.engine == "whisper") if name == "whisper" else None
