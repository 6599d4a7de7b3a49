"""Selection and settings of the speech recognizer. Its packages are imported only when it is opened."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from phonics_data.errors import EngineError, OptionError
from phonics_data.recognizers import aligner, google, whisper
from phonics_data.recognizers.aligner import AlignOptions
from phonics_data.recognizers.google import Google, GoogleOptions
from phonics_data.recognizers.interface import Recognizer
from phonics_data.recognizers.whisper import Whisper, WhisperOptions

EngineName = Literal["auto", "captions", "whisper", "google"]
AlignMode = Literal["auto", "always", "never"]


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineOptions:
    """Speech recognition for videos whose captions contain no alphabet.

    Args:
        engine: ``captions`` disables speech recognition. ``whisper`` and ``google`` select a recognizer; it is an error if
            it cannot work. ``auto`` selects Whisper if it is installed and its model is on this machine, else none;
            nothing is downloaded, sent or paid.
        whisper: settings of Whisper.
        google: settings and cost limits of Google.
        align: whether the aligner refines word times; ``auto``: if it is installed.
        align_options: settings of the aligner.
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


def selected_engine(options: EngineOptions) -> Literal["whisper", "google"] | None:
    """The recognizer that these options select on this machine, or None.

    Raises:
        DependencyError: the package of an explicitly selected recognizer is missing.
    """
    if options.engine == "captions":
        return None
    if options.engine == "auto":
        has_model = whisper.PACKAGE.is_installed() and whisper.local_model(options.whisper.model) is not None
        return "whisper" if has_model else None
    (whisper.PACKAGE if options.engine == "whisper" else google.PACKAGE).require()
    return options.engine


def uses_aligner(options: EngineOptions) -> bool:
    """Whether the aligner refines word times.

    Raises:
        DependencyError: ``always`` is set and the package is missing.
    """
    if options.align == "always":
        aligner.PACKAGE.require()
    return options.align != "never" and aligner.PACKAGE.is_installed()


def engine_fingerprint(options: EngineOptions) -> list[object]:
    """All values that determine the words of a run with these options, for `fingerprint`; loads no model."""
    name = selected_engine(options)
    values: list[object] = []
    if name == "whisper":
        # The number of threads does not change the words.
        settings = dataclasses.replace(options.whisper, threads=0)
        values += [whisper.WHISPER_VERSION, importlib.metadata.version("faster-whisper"), dataclasses.asdict(settings)]
    elif name == "google":
        values += [google.google_version(options.google), google.cache_settings(options.google)]
    if uses_aligner(options):
        values += [aligner.aligner_version(), dataclasses.asdict(options.align_options)]
    return values


@functools.lru_cache(maxsize=1)
def open_recognizer(options: EngineOptions, folder: Path | None = None) -> Recognizer | None:
    """The selected recognizer, loaded; the last one is kept for the following videos.

    Args:
        folder: cache folder, required by paid recognizers.

    Raises:
        DependencyError, EngineError, InputError: see the recognizers.
    """
    name = selected_engine(options)
    if name == "google":
        if folder is None:
            raise EngineError("--engine google: needs a workspace; run phonics-data transcribe --work FOLDER")
        return Google(options.google, folder=folder / "google")
    return Whisper(options.whisper, may_download=options.engine == "whisper") if name == "whisper" else None
