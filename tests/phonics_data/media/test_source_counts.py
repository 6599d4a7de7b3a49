"""What a source holds in a segment against its clip: every frame and second of sound that differs is counted."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from phonics_data.errors import MediaError
from phonics_data.media import cut_segments
from phonics_data.media.clip_frames import read_clip
from phonics_data.media.container import ffmpeg_path
from phonics_data.types import SourceCounts
from tests.counted_videos import constant, make_source, modulated_noise

SOUND_HZ = 48_000
SOUND = modulated_noise(6.0, 1, SOUND_HZ)


def counts(path: Path, *segments: tuple[float, float], rate: Fraction = Fraction(25)) -> list[SourceCounts]:
    """Seconds are rounded to hundredths; the blocks of 21 ms in which sound is stored end after the video."""
    cuts = sorted(
        cut_segments(path, segments, frame_rate=rate, width=32, height=32, audio_rate_hz=16_000),
        key=lambda cut: cut.index,
    )
    for cut in cuts:
        assert cut.counts.source_frames == len(cut.frames_LHWC) - cut.counts.repeated_frames + cut.counts.dropped_frames
    return [replace(cut.counts, missing_audio_seconds=round(cut.counts.missing_audio_seconds, 2)) for cut in cuts]


def break_packet(path: Path, number: int) -> None:
    """Overwrite the video packet `number`, in the order of the file."""
    with av.open(str(path)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][number]
        position, size = packet.pos, packet.size
    data = bytearray(path.read_bytes())
    data[position : position + size] = bytes(size)
    path.write_bytes(data)


def test_a_whole_source_has_no_difference(tmp_path: Path) -> None:
    path = make_source(tmp_path / "a.mkv", constant(25, 6), SOUND)
    assert counts(path, (0.0, 6.0), (1.0, 3.0)) == [SourceCounts(source_frames=150), SourceCounts(source_frames=50)]


@pytest.mark.parametrize(
    ("source_rate", "dropped", "repeated"), [(50, 50, 0), (30, 10, 0), (20, 0, 10), (Fraction(25), 0, 0)]
)
def test_other_frame_rates_drop_or_repeat_frames(
    tmp_path: Path, source_rate: Fraction | int, dropped: int, repeated: int
) -> None:
    path = make_source(tmp_path / "a.mkv", constant(source_rate, 6), SOUND)
    (found,) = counts(path, (1.0, 3.0))
    assert (found.dropped_frames, found.repeated_frames) == (dropped, repeated)


def test_variable_frame_rate_and_gap(tmp_path: Path) -> None:
    """50 frames/s in the first second, none in the second one, 25 after it."""
    times = [*constant(50, 1), *(2 + time for time in constant(25, 4))]
    path = make_source(tmp_path / "a.mkv", times, SOUND)
    first, second, third = counts(path, (0.0, 1.0), (1.0, 2.0), (2.0, 3.0))
    assert (first.dropped_frames, first.repeated_frames) == (25, 0)
    assert (second.source_frames, second.repeated_frames) == (1, 24)
    assert third == SourceCounts(source_frames=25)


@pytest.mark.parametrize("options", [{"g": "50", "bf": "0"}, {"g": "50", "bf": "2"}], ids=["no B frames", "B frames"])
def test_a_broken_packet_damages_the_frames_up_to_the_next_key_frame(tmp_path: Path, options: dict[str, str]) -> None:
    path = make_source(tmp_path / "a.mp4", constant(25, 6), SOUND, video_options=options, audio_codec="aac")
    break_packet(path, 50)  # the key frame at 2 s
    before, after, beside = counts(path, (0.0, 1.9), (1.9, 4.1), (4.1, 5.0))
    assert before.damaged_frames == beside.damaged_frames == 0
    assert after.damaged_frames == pytest.approx(50, abs=3)
    assert after.repeated_frames >= 1
    assert after.missing_audio_seconds == 0.0


def test_a_file_that_is_one_clip_must_decode_everywhere(tmp_path: Path) -> None:
    path = make_source(tmp_path / "a.mp4", constant(25, 6), None, video_options={"g": "50"})
    assert len(read_clip(path, width=32, height=32)[0]) == 150
    break_packet(path, 60)
    with pytest.raises(MediaError, match="does not decode") as caught:
        read_clip(path, width=32, height=32)
    assert caught.value.reason == "does_not_decode"


def test_truncated_file(tmp_path: Path) -> None:
    path = make_source(tmp_path / "a.mkv", constant(25, 6), SOUND)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    first, second = counts(path, (0.0, 1.0), (1.0, 6.0))
    assert first == SourceCounts(source_frames=25)
    assert second.missing_video_seconds == pytest.approx(3.0, abs=0.5)
    assert second.missing_video_seconds == pytest.approx(5.0 - (second.source_frames + second.repeated_frames) / 25)
    (whole,) = counts(path, (10.0, 12.0))
    assert whole == SourceCounts(missing_video_seconds=2.0)


def test_gap_in_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    whole = make_source(tmp_path / "whole.mkv", constant(25, 6), SOUND)
    left_out = ["-c:v", "copy", "-c:a", "pcm_s16le", "-af", "aselect=not(between(t\\,2\\,3))"]
    subprocess.run([ffmpeg_path(), "-v", "error", "-i", str(whole), *left_out, str(path)], check=True)
    first, second, third = counts(path, (0.0, 1.5), (1.5, 3.5), (2.5, 3.5))
    assert first.missing_audio_seconds == 0.0
    assert second.missing_audio_seconds == pytest.approx(1.0, abs=0.03)
    assert third.missing_audio_seconds == pytest.approx(0.5, abs=0.03)
    assert second.unused_audio_seconds == 0.0


def test_sound_that_starts_late_or_ends_early(tmp_path: Path) -> None:
    short = make_source(tmp_path / "short.mkv", constant(25, 6), SOUND[: 4 * SOUND_HZ])
    assert [one.missing_audio_seconds for one in counts(short, (0.0, 3.0), (3.0, 6.0))] == [0.0, 2.0]
    late = make_source(tmp_path / "late.mkv", constant(25, 6), SOUND, sound_start=Fraction(1))
    assert [one.missing_audio_seconds for one in counts(late, (0.0, 3.0), (3.0, 6.0))] == [1.0, 0.0]


def test_video_that_starts_late_or_ends_early(tmp_path: Path) -> None:
    late = make_source(tmp_path / "late.mkv", [2 + time for time in constant(25, 4)], SOUND)
    first, second = counts(late, (0.0, 1.0), (1.0, 6.0))
    assert first.unused_audio_seconds == pytest.approx(2.0, abs=0.03)
    assert second.unused_audio_seconds == 0.0
    assert second.missing_video_seconds == pytest.approx(2.0)
    early = make_source(tmp_path / "early.mkv", constant(25, 4), SOUND)
    (found,) = counts(early, (3.0, 6.0))
    assert found.missing_video_seconds == pytest.approx(2.0)
    assert found.unused_audio_seconds == pytest.approx(2.0, abs=0.03)


@pytest.mark.parametrize("placement", ["after", "before"])
def test_sound_that_a_second_reader_decodes_is_counted_once(tmp_path: Path, placement: str) -> None:
    sound = np.tile(SOUND, 5)
    times = [2 + time for time in constant(25, 28)]
    path = make_source(tmp_path / "a.mkv", times, sound, audio_placement=placement)  # pyright: ignore[reportArgumentType]
    first, second = counts(path, (0.0, 2.0), (14.0, 16.0))
    assert first.unused_audio_seconds == pytest.approx(2.0, abs=0.03)
    assert (first.missing_audio_seconds, second.missing_audio_seconds, second.unused_audio_seconds) == (0.0, 0.0, 0.0)
