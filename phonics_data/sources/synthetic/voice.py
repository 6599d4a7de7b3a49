"""Speech synthesis with espeak-ng: one waveform per word, trimmed to the first and last phoneme.

espeak-ng keeps the state of its oscillators and noise between words, so that the length of a word depends on all words
before it, by a few milliseconds. Therefore `synthesize` runs this module in a new process for every song: equal requests
in equal order give equal samples.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonics_data.errors import DependencyError
from phonics_data.sources.synthetic.demo_packages import import_demo_package

RATE_HZ = 22_050
_SYNCHRONOUS, _PHONEME_EVENTS = 2, 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_UTF8_WITH_PHONEMES = 0x1 | 0x100
_EVENT_END_OF_LIST, _EVENT_PHONEME = 0, 7
_FADE_SAMPLES = 66  # 3 ms, against clicks at the ends of a word


@dataclass(frozen=True, kw_only=True, slots=True)
class Utterance:
    """One word to synthesize."""

    say: str
    """Text, or phonemes in ``[[ ]]``."""
    voice: str
    """espeak-ng voice: language and variant, e.g. ``en-us+f2``."""
    pitch: int
    """0..100; 50 is the voice's default."""
    pitch_range: int
    """0..100; 0 monotone, 50 normal."""
    words_per_minute: int


Waveform = NDArray[np.float32]


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def synthesize(utterances: Sequence[Utterance]) -> list[Waveform]:
    """The waveform of each word from its first to its last phoneme, without surrounding silence.

    Returns:
        One (N,) float32 array in [-1, 1] at `RATE_HZ` per utterance. Equal lists give equal arrays.

    Raises:
        DependencyError: espeakng-loader is not installed, or espeak-ng failed.
    """
    request = json.dumps([asdict(utterance) for utterance in utterances]).encode()
    # The new process finds this package on the same path, installed or not.
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-m", "phonics_data.sources.synthetic.voice"]
    completed = subprocess.run(command, input=request, capture_output=True, check=False, env=environment)
    if completed.returncode != 0:
        last_line = completed.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DependencyError(f"espeak-ng failed ({last_line}); install the voice: pip install 'phonics-cssgan[demo]'")
    with np.load(io.BytesIO(completed.stdout), allow_pickle=False) as arrays:
        return [arrays[f"waveform_{index}"].astype(np.float32) / 32768 for index in range(len(utterances))]


class _Espeak:
    """The loaded library; synthesizes one word after the other."""

    def __init__(self) -> None:
        espeakng_loader = import_demo_package("espeakng_loader", "espeakng-loader")
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data_path = str(espeakng_loader.get_data_path()).encode()
        rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data_path, _PHONEME_EVENTS)
        if rate != RATE_HZ:
            raise DependencyError(f"espeak-ng has a rate of {rate} Hz, expected {RATE_HZ}; reinstall espeakng-loader")
        self._chunks: list[NDArray[np.int16]] = []
        self._phonemes: list[tuple[int, bytes]] = []
        self._callback = _Callback(self._receive)  # referenced here, because C only has a pointer to it
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, wave: Any, num_samples: int, events: Any) -> int:
        if wave and num_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(wave, (num_samples,)).copy())
        index = 0
        while events[index].type != _EVENT_END_OF_LIST:
            if events[index].type == _EVENT_PHONEME:
                self._phonemes.append((events[index].sample, events[index].id))
            index += 1
        return 0

    def synthesize(self, utterance: Utterance) -> NDArray[np.int16]:
        self._chunks.clear()
        self._phonemes.clear()
        if self._library.espeak_SetVoiceByName(utterance.voice.encode()) != 0:
            raise DependencyError(f"espeak-ng has no voice {utterance.voice!r}; reinstall espeakng-loader")
        settings = ((_RATE, utterance.words_per_minute), (_PITCH, utterance.pitch), (_RANGE, utterance.pitch_range))
        for parameter, value in settings:
            self._library.espeak_SetParameter(parameter, value, 0)
        text = utterance.say.encode()
        status = self._library.espeak_Synth(text, len(text) + 1, 0, 1, 0, _UTF8_WITH_PHONEMES, None, None)
        if status != 0 or not self._chunks:
            raise DependencyError(f"espeak-ng returned no audio for {utterance.say!r} (status {status})")
        return _trim(np.concatenate(self._chunks), self._phonemes)


def _trim(wave: NDArray[np.int16], phonemes: Sequence[tuple[int, bytes]]) -> NDArray[np.int16]:
    """`wave` from its first phoneme to the pause after its last one, with fades at both ends."""
    is_pause = [name.startswith(b"_") for _, name in phonemes]
    first = phonemes[is_pause.index(False)][0]
    last_spoken = len(is_pause) - 1 - is_pause[::-1].index(False)
    end = phonemes[last_spoken + 1][0] if last_spoken + 1 < len(phonemes) else wave.size
    word = wave[first:end].astype(np.float64)
    fade = np.minimum(np.arange(word.size) / _FADE_SAMPLES, 1.0)
    return np.rint(word * fade * fade[::-1]).astype(np.int16)


def main() -> None:
    """Read a JSON list of utterances from standard input; write an npz of int16 arrays to standard output."""
    espeak = _Espeak()
    waveforms = [espeak.synthesize(Utterance(**fields)) for fields in json.load(sys.stdin)]
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{f"waveform_{index}": waveform for index, waveform in enumerate(waveforms)})
    sys.stdout.buffer.write(buffer.getvalue())


if __name__ == "__main__":
    main()
