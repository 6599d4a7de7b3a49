"""Which of several streams is read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from phonics_data.contract.media_input import open_input
from phonics_data.contract.streams import audio_stream
from phonics_data.media import ffmpeg_path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("seconds", "chosen"), [((0.2, 2), 1), ((2, 0.2), 0), ((1.5, 2), 0)])
def test_a_short_audio_stream_is_not_that_of_the_song(
    tmp_path: Path, suffix: str, seconds: tuple[float, float], chosen: int
) -> None:
    path = tmp_path / f"a{suffix}"
    sounds = [part for length in seconds for part in ("-f", "lavfi", "-i", f"sine=440:duration={length}")]
    maps = ("-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "libx264", "-c:a", "aac")
    call = [ffmpeg_path(), "-v", "error", "-f", "lavfi", "-i", "color=red:size=64x64:duration=2:rate=25", *sounds, *maps, path]  # fmt: skip
    subprocess.run(call, check=True)
    with open_input(path) as container:
        stream = audio_stream(container)
        assert stream is not None
        assert stream.index == 1 + chosen
