"""The complete audio of a source on the clock of its video, as input of speech recognition."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from phonics_data.contract.frame_times import FrameTimes
from phonics_data.contract.mono import MAX_CANCELLED_DB, cancelled_text
from phonics_data.contract.streams import audio_stream, video_stream
from phonics_data.errors import MediaError
from phonics_data.media.audio_track import AudioTrack, MonoAudio
from phonics_data.media.container import frames_of, open_media, time_base
from phonics_data.media.timestamps import half_up

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame


def read_audio(path: Path, *, duration_seconds: float, rate_hz: int) -> MonoAudio:
    """The audio of ``[0, duration_seconds)``, where 0 is the presentation time of the first video frame.

    Args:
        duration_seconds: of the video, and of the result.
        rate_hz: sampling rate of the result.

    Returns:
        (samples,) float32 in about [-1, 1]; zeros where the source has no audio.

    Raises:
        MediaError: ``channels_cancel``, ``no_audio_stream``, ``does_not_decode``, ``not_a_video`` or ``file_missing``.
    """
    duration = Fraction(duration_seconds).limit_denominator(1_000_000)
    with open_media(path) as container:
        video, audio = video_stream(container), audio_stream(container)
        if audio is None:
            raise MediaError("no_audio_stream", f"{path}: has no audio stream")
        track = AudioTrack([(Fraction(0), duration)], rate_hz, str(path), audio.codec_context.name)
        # Without video, the clock begins with the audio.
        origin = None if video is not None else Fraction(audio.start_time or 0) * time_base(audio)
        times = FrameTimes(video) if video is not None else None
        pending: list[AudioFrame] = []
        for packet in container.demux([audio] if video is None else [video, audio]):
            if packet.stream.index != audio.index:
                if origin is None and times is not None and (frames := times.add(packet, frames_of(packet))):
                    assert frames[0].pts is not None
                    origin = frames[0].pts * time_base(packet.stream)
                continue
            pending.extend(frames_of(packet))
            while origin is not None and pending:
                track.add(pending.pop(0), time_base(audio), origin)
            if track.covers(duration):
                break
        for frame in pending:
            track.add(frame, time_base(audio), origin or Fraction(0))
    audio_N = track.take(Fraction(0), half_up(duration * rate_hz))
    if track.cancelled_db > MAX_CANCELLED_DB:
        raise MediaError(
            "channels_cancel",
            f"{path}: {cancelled_text(track.cancelled_db)}",
            measured=track.cancelled_db,
            threshold=MAX_CANCELLED_DB,
        )
    return audio_N
