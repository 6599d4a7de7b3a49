"""The whole sound of a source on the clock of its picture: what a recognizer listens to."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from phonics_data.errors import MediaError
from phonics_data.media.audio_track import Mono, SoundTrack
from phonics_data.media.container import audio_stream, frames_of, open_media, time_base, video_stream
from phonics_data.media.timestamps import half_up

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame


def read_sound(path: Path, *, duration_seconds: float, rate_hz: int) -> Mono:
    """The sound of ``[0, duration_seconds)``, where 0 is the presentation time of the first video frame.

    Args:
        duration_seconds: of the picture; the result is so long whatever the sound is.
        rate_hz: of the result.

    Returns:
        (samples,) float32 in about [-1, 1]; silence where the source has no sound.

    Raises:
        MediaError: ``no_audio_stream``, ``does_not_decode``, ``not_a_video`` or ``file_missing``.
    """
    duration = Fraction(duration_seconds).limit_denominator(1_000_000)
    sound = SoundTrack([(Fraction(0), duration)], rate_hz, str(path))
    with open_media(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        if audio is None:
            raise MediaError("no_audio_stream", f"{path}: holds no audio stream")
        # A file without a picture begins where its sound does.
        origin = None if video is not None else Fraction(audio.start_time or 0) * time_base(audio)
        early: list[AudioFrame] = []
        for packet in container.demux([audio] if video is None else [video, audio]):
            if packet.stream.index != audio.index:
                if origin is None and video is not None and (frames := frames_of(packet)):
                    origin = Fraction(frames[0].pts or 0) * time_base(video)
                continue
            early.extend(frames_of(packet))
            while origin is not None and early:
                sound.add(early.pop(0), time_base(audio), origin)
            if sound.covers(duration):
                break
        for frame in early:
            sound.add(frame, time_base(audio), origin or Fraction(0))
    return sound.take(Fraction(0), half_up(duration * rate_hz))
