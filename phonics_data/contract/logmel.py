"""Log-mel spectrogram of audio, and the segment of it that belongs to each frame.

One definition for quality filters, training and metrics. The paper specifies 64x20 log-mel segments, one per frame
(section 4.1); window, hop and bands are our choice (docs/paper-gaps.md).
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phonics_data.contract.sample import Audio
from phonics_data.errors import DatasetError, DependencyError

LogMel = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class LogMelSpec:
    """Parameters of the log-mel spectrogram.

    The window of hop h is centred on the middle of its ``hop_samples`` samples, so hop h represents the time
    [h, h + 1) * hop_samples / rate_hz, without a half-hop shift between audio and frames.
    """

    rate_hz: int = 16_000
    window_samples: int = 400
    fft_samples: int = 512
    hop_samples: int = 160
    num_bands: int = 64
    low_hz: float = 20.0
    high_hz: float = 8_000.0
    floor: float = 1e-5
    """Added to the power before the natural logarithm."""
    segment_hops: int = 20
    """Hops per mel segment: 200 ms at the default hop of 10 ms."""

    def __post_init__(self) -> None:
        if not 0 < self.window_samples <= self.fft_samples or self.hop_samples <= 0 or self.segment_hops <= 0:
            raise DatasetError(
                f"log-mel spec: got window {self.window_samples}, fft {self.fft_samples}, hop {self.hop_samples}; "
                "allowed: 0 < window <= fft, hop > 0"
            )
        if not 0 <= self.low_hz < self.high_hz <= self.rate_hz / 2:
            raise DatasetError(
                f"log-mel spec: got bands from {self.low_hz} to {self.high_hz} Hz, "
                f"allowed: 0 <= low < high <= {self.rate_hz / 2}"
            )

    @property
    def silence(self) -> float:
        """The value of every band in digital silence."""
        return float(np.log(np.float32(self.floor)))

    def digest(self) -> str:
        """A digest of all parameters, for cache keys."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()[:12]

    def num_hops(self, num_samples: int) -> int:
        """Hops of `num_samples` samples; the last may be partly filled."""
        return -(-num_samples // self.hop_samples)


def _librosa() -> Any:
    try:
        import librosa
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"mel spectrograms need {error.name}, which is not installed; run: pip install 'phonics-cssgan[train]', or "
            "'phonics-cssgan[demo]' to render songs alone"
        ) from error
    return librosa


@functools.lru_cache(maxsize=8)
def _mel_filters(spec: LogMelSpec) -> NDArray[np.float32]:
    return _librosa().filters.mel(
        sr=spec.rate_hz, n_fft=spec.fft_samples, n_mels=spec.num_bands, fmin=spec.low_hz, fmax=spec.high_hz
    )


def log_mel(audio_N: Audio, spec: LogMelSpec | None = None) -> LogMel:
    """The log-mel spectrogram of the whole audio of a clip.

    Compute it once and slice it afterwards: segments computed one by one have edge artefacts.

    Args:
        audio_N: float32 mono in [-1, 1] at ``spec.rate_hz``.
        spec: default `LogMelSpec()`.

    Returns:
        float32 (hops, bands): natural log of mel power + floor, from ``spec.silence`` up to about 10.

    Raises:
        DependencyError: librosa is not installed.
    """
    librosa = _librosa()
    spec = spec or LogMelSpec()
    num_hops = spec.num_hops(audio_N.size)
    if num_hops == 0:
        return np.zeros((0, spec.num_bands), np.float32)
    left = (spec.fft_samples - spec.hop_samples) // 2
    total = (num_hops - 1) * spec.hop_samples + spec.fft_samples
    padded = np.zeros(total, np.float32)
    padded[left : left + audio_N.size] = audio_N
    spectrum = librosa.stft(
        padded,
        n_fft=spec.fft_samples,
        hop_length=spec.hop_samples,
        win_length=spec.window_samples,
        window="hann",
        center=False,
    )
    power = np.square(np.abs(spectrum))
    return np.log(_mel_filters(spec) @ power + np.float32(spec.floor)).T.astype(np.float32)


def mel_segment_start_hop(frame_index: int, frame_rate: Fraction, spec: LogMelSpec | None = None) -> int:
    """First hop of the mel segment of frame `frame_index`, which is centred on the middle of the frame's interval.

    start = round((j + 1/2) / F * hops per second) - segment_hops / 2, half rounded up. It may be negative; the spectrogram
    is padded with silence there. Consecutive segments start 4 hops apart at 25 frames/s, 3 or 4 at 30, 20 (adjacent) at 5.
    """
    spec = spec or LogMelSpec()
    mid_hops = (frame_index + Fraction(1, 2)) / frame_rate * Fraction(spec.rate_hz, spec.hop_samples)
    return floor(mid_hops + Fraction(1, 2)) - spec.segment_hops // 2


def mel_segments(mels_HM: LogMel, num_frames: int, frame_rate: Fraction, spec: LogMelSpec | None = None) -> LogMel:
    """The mel segments of frames 0..num_frames-1, with silence past both ends.

    Args:
        mels_HM: `log_mel` of the whole audio of the clip, (hops, bands).

    Returns:
        float32 (num_frames, bands, segment_hops): the trainer's T x M x U.
    """
    spec = spec or LogMelSpec()
    out = np.full((num_frames, spec.num_bands, spec.segment_hops), spec.silence, np.float32)
    for frame in range(num_frames):
        start = mel_segment_start_hop(frame, frame_rate, spec)
        low, high = max(start, 0), min(start + spec.segment_hops, mels_HM.shape[0])
        if low < high:
            out[frame, :, low - start : high - start] = mels_HM[low:high].T
    return out
