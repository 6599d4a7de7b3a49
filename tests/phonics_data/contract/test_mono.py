"""What making mono can lose: cancelling channels, the voice of the centre, levels of every sample format."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from cssgan.errors import InputError
from cssgan.storage.media_files import read_audio as read_sound_file
from cssgan.storage.media_files import read_video
from phonics_data.contract.mono import channel_weights
from phonics_data.errors import MediaError
from phonics_data.media import cut_segments
from phonics_data.media.audio_reader import read_audio
from phonics_data.quality.filters import FilterOptions, apply_filters, measure_clip
from tests.counted_videos import numbered_picture

RATE = 16_000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


def write(path: Path, sound_CN: NDArray[Any], layout: str, *, codec: str = "pcm_s16le", form: str = "s16") -> Path:
    """A second of video with a sound of several channels, in [-1, 1]."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.height, video.width = numbered_picture(0).shape[:2]
        video.pix_fmt = "yuv420p"
        audio: Any = container.add_stream(codec, rate=RATE)
        audio.layout = layout
        audio.format = form
        scale, kind = {
            "s16": (32767, np.int16),
            "s32": (2**31 - 1, np.int32),
            "flt": (1, np.float32),
            "u8": (127, np.uint8),
        }[form]
        stored = (sound_CN.T * scale + (128 if form == "u8" else 0)).astype(kind).reshape(1, -1)
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(numbered_picture(index), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        block = av.AudioFrame.from_ndarray(stored, format=form, layout=layout)
        block.sample_rate, block.pts, block.time_base = RATE, 0, Fraction(1, RATE)
        container.mux(audio.encode(block))
        container.mux(audio.encode())
    return path


def level(audio_N: NDArray[np.float32]) -> float:
    return float(np.abs(audio_N[2000:-2000]).max())


def cut(path: Path) -> Any:
    (clip,) = cut_segments(path, [(0.0, 1.0)], frame_rate=Fraction(25), width=64, height=64, audio_rate_hz=RATE)
    return clip


def test_cancelling_channels_are_named_and_not_called_silent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", np.stack([TONE, -TONE]), "stereo")
    clip = cut(path)
    measures = measure_clip(clip.frames_LHWC, clip.audio_N, RATE, cancelled_db=clip.cancelled_db)
    assert apply_filters(measures, 1.0, 1.0, FilterOptions())[0].reason == "channels_cancel"
    with pytest.raises(MediaError, match="channels cancel each other") as caught:
        read_audio(path, duration_seconds=1.0, rate_hz=RATE)
    assert caught.value.reason == "channels_cancel"
    with pytest.raises(InputError, match="channels cancel each other"):
        read_video(path, 64, RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([TONE, -TONE], axis=1), RATE)
    with pytest.raises(InputError, match="channels cancel each other"):
        read_sound_file(tmp_path / "a.wav")


SECONDS = np.arange(RATE) / RATE
VOICE, MUSIC = 0.3 * np.sin(2 * np.pi * 900 * SECONDS), 0.3 * np.sin(2 * np.pi * 300 * SECONDS)


@pytest.mark.parametrize(
    "sound",
    [
        np.stack([0.5 / 0.3 * VOICE + MUSIC / 3, -0.5 / 0.3 * VOICE + MUSIC / 3]),
        np.stack([VOICE + MUSIC, MUSIC - VOICE]),
        np.stack([TONE, np.where(SECONDS < 0.5, TONE, -TONE)]),
    ],
    ids=["loud voice", "voice as loud as the music", "half of the time"],
)
def test_channels_that_cancel_in_a_part_are_named(tmp_path: Path, sound: NDArray[Any]) -> None:
    path = write(tmp_path / "a.mkv", sound, "stereo")
    assert cut(path).cancelled_db > 40
    with pytest.raises(MediaError, match="channels cancel each other"):
        read_audio(path, duration_seconds=1.0, rate_hz=RATE)
    with pytest.raises(InputError, match="channels cancel each other"):
        read_video(path, 64, RATE)
    soundfile.write(tmp_path / "a.wav", sound.T, RATE)
    with pytest.raises(InputError, match="channels cancel each other"):
        read_sound_file(tmp_path / "a.wav")


def test_wide_stereo_does_not_cancel(tmp_path: Path) -> None:
    """Independent channels, a delay between them, and a quiet inverted part."""
    noise = 0.2 * np.random.default_rng(0).standard_normal((2, RATE)).clip(-4, 4)
    wide = {
        "independent": noise,
        "delayed": np.stack([noise[0], np.roll(noise[0], 20)]),
        "quiet part": np.stack([noise[0] + MUSIC / 10, noise[0] - MUSIC / 10]),
    }
    for name, sound in wide.items():
        assert cut(write(tmp_path / f"{name}.mkv", sound, "stereo")).cancelled_db < 8, name


def test_one_channel_of_surround_alone_is_as_much_quieter_as_one_of_two(tmp_path: Path) -> None:
    for place in (0, 2, 4):
        sound = np.stack([TONE if n == place else 0 * TONE for n in range(6)])
        assert cut(write(tmp_path / f"{place}.mkv", sound, "5.1")).cancelled_db == pytest.approx(6.0, abs=0.1)


@pytest.mark.parametrize("sound", [np.stack([TONE, TONE]), np.stack([TONE, 0 * TONE]), np.stack([0 * TONE, 0 * TONE])])
def test_other_stereo_does_not_cancel(tmp_path: Path, sound: NDArray[Any]) -> None:
    clip = cut(write(tmp_path / "a.mkv", sound, "stereo"))
    assert clip.cancelled_db < 7
    assert level(clip.audio_N) == pytest.approx(np.abs(sound.mean(axis=0)[2000:-2000]).max(), abs=0.01)


def test_voice_of_the_centre_is_louder_than_the_mean_of_six_channels_and_the_subwoofer_is_left_out(
    tmp_path: Path,
) -> None:
    centre = write(tmp_path / "c.mkv", np.stack([TONE if n == 2 else 0 * TONE for n in range(6)]), "5.1")
    low = write(tmp_path / "l.mkv", np.stack([TONE if n == 3 else 0 * TONE for n in range(6)]), "5.1")
    expected = 0.5 * 0.7071 / (0.5 + 0.5 + 0.7071 + 2 * 0.3536)
    for read in (lambda path: cut(path).audio_N, lambda path: read_audio(path, duration_seconds=1.0, rate_hz=RATE)):
        assert level(read(centre)) == pytest.approx(expected, abs=0.01)
        assert level(read(low)) == 0
    sound = read_video(centre, 64, RATE).audio_N
    assert sound is not None
    assert level(sound) == pytest.approx(expected, abs=0.01)
    soundfile.write(tmp_path / "c.wav", np.stack([TONE if n == 2 else 0 * TONE for n in range(6)], axis=1), RATE)
    assert level(read_sound_file(tmp_path / "c.wav")[0]) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("codec", "form"),
    [("pcm_s16le", "s16"), ("pcm_s24le", "s32"), ("pcm_s32le", "s32"), ("pcm_f32le", "flt"), ("pcm_u8", "u8")],
)
def test_every_sample_format_keeps_its_level(tmp_path: Path, codec: str, form: str) -> None:
    path = write(tmp_path / "a.mkv", TONE[None], "mono", codec=codec, form=form)
    assert level(cut(path).audio_N) == pytest.approx(0.5, abs=0.01)


def test_not_a_number_is_an_error(tmp_path: Path) -> None:
    sound = TONE.copy()
    sound[5000:5010] = np.nan
    path = write(tmp_path / "a.mkv", sound[None], "mono", codec="pcm_f32le", form="flt")
    with pytest.raises(MediaError, match="NaN"):
        cut(path)


def test_weights_sum_to_one() -> None:
    for count in range(1, 9):
        assert channel_weights(count).sum() == pytest.approx(1)
