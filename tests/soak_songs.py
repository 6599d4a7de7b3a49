"""Small songs for the soak test: a range of letters each, as cheap as possible, some with faults of the server."""

from __future__ import annotations

import csv
import io
import json
import string
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.phonics_data.segmentation.transcripts import EXAMPLES
from tests.phonics_data.stages.fetch.fake_youtube import FakeCaptions, Song

RATE = 25
AUDIO_RATE_HZ = 16000
LETTER_SECONDS = 0.8
WIDTH, HEIGHT = 96, 72

TEMPORARY_FAULTS: list[dict[str, list[str]]] = [
    {"media_faults": ["503", "503"]},
    {"page_faults": ["500"]},
    {"media_faults": ["reset .5", "reset .3"]},
    {"media_faults": ["truncate .6"]},
    {"media_faults": ["html"]},
    {"media_faults": ["410"]},
    {"media_faults": ["403"]},
    {"media_faults": ["429 0.1"], "page_faults": ["429 0.1"]},
    {"media_faults": ["slow 1"]},
    {"page_faults": ["bot"]},
]
"""Faults of songs that are fetched in the end."""
PERMANENT_FAULTS: list[dict[str, list[str]]] = [
    {"media_faults": ["404", "..."]},
    {"media_faults": ["truncate .6", "..."]},
    {"media_faults": ["html", "..."]},
]
CAPTIONS = {"broken": '{"events": [{', "empty": '{"events": []}'}


@dataclass(frozen=True)
class SongSet:
    """The songs of one test.

    Args:
        songs: with faults; a server consumes the temporary ones.
        manifest: text of the manifest.
    """

    songs: list[Song]
    manifest: str


def make_songs(number: int, *, seed: int, with_temporary_faults: bool, media: dict[str, dict[str, bytes]]) -> SongSet:
    """`number` songs; equal seeds give equal songs.

    Args:
        media: cache of encoded files by video id, filled by this function.
    """
    songs: list[Song] = []
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["video_id", "url", "kind", "letters"])
    for index in range(number):
        rng = np.random.default_rng([seed, index])
        first, length = int(rng.integers(0, 20)), int(rng.integers(4, 7))
        letters = string.ascii_uppercase[first : first + length]
        name = f"song{index:07d}"
        if name not in media:
            media[name] = _media(letters, rng, two_streams=index % 10 == 3)
        song = Song(name, media[name], seconds=_seconds(letters))
        captions = {11: CAPTIONS["broken"], 21: CAPTIONS["empty"]}.get(index % 30, _captions(letters))
        song.captions = [] if index % 30 == 1 else [FakeCaptions("en", captions, is_auto=index % 3 == 0)]
        faults: dict[str, list[str]] = {}
        if index % 20 == 5:
            faults = PERMANENT_FAULTS[index // 20 % len(PERMANENT_FAULTS)]
        elif index % 20 == 15:
            song.playability = {"status": "ERROR", "reason": "Private video"}
        elif index % 4 == 0 and with_temporary_faults:
            faults = TEMPORARY_FAULTS[index // 4 % len(TEMPORARY_FAULTS)]
        for field, values in faults.items():
            setattr(song, field, list(values))
        songs.append(song)
        table.writerow([name, song.url, "range", letters])
    return SongSet(songs, text.getvalue())


def _seconds(letters: str) -> float:
    return LETTER_SECONDS * len(letters) + 0.4


def _captions(letters: str) -> str:
    events = [
        {
            "tStartMs": round(1000 * LETTER_SECONDS * index),
            "dDurationMs": round(1000 * LETTER_SECONDS),
            "segs": [
                {"utf8": word, "tOffsetMs": 180 * place}
                for place, word in enumerate((letter, " is", " for", f" {EXAMPLES[letter]}"))
            ],
        }
        for index, letter in enumerate(letters)
    ]
    return json.dumps({"events": events})


def _media(letters: str, rng: np.random.Generator, *, two_streams: bool) -> dict[str, bytes]:
    """itag -> an mp4 whose picture and sound change with each letter, so that no clip is a duplicate of another."""
    num_frames = round(RATE * _seconds(letters))
    blocks_LHWC = rng.integers(0, 256, (len(letters) + 1, 6, 8, 3), np.uint8)
    frames_LHWC = np.empty((num_frames, HEIGHT, WIDTH, 3), np.uint8)
    for index in range(num_frames):
        picture = blocks_LHWC[min(int(index / RATE / LETTER_SECONDS), len(letters))]
        frames_LHWC[index] = np.roll(picture.repeat(12, axis=0).repeat(12, axis=1), index, axis=1)
    num_samples = round(AUDIO_RATE_HZ * _seconds(letters))
    seconds_N = np.arange(num_samples) / AUDIO_RATE_HZ
    which_N = np.minimum((seconds_N / LETTER_SECONDS).astype(int), len(letters))
    tones_LK = rng.uniform(150, 3000, (len(letters) + 1, 4))
    audio_N = np.sin(2 * np.pi * tones_LK[which_N] * seconds_N[:, None]).sum(axis=1) * 0.1
    audio_N *= 0.6 + 0.4 * np.sin(2 * np.pi * rng.uniform(2, 9, len(letters) + 1)[which_N] * seconds_N)
    if two_streams:
        return {"133": _encode(frames_LHWC, None), "140": _encode(None, audio_N)}
    return {"18": _encode(frames_LHWC, audio_N)}


def _encode(frames_LHWC: np.ndarray | None, audio_N: np.ndarray | None) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        video = audio = None
        if frames_LHWC is not None:
            video = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "threads": "1"})
            video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if audio_N is not None:
            audio = container.add_stream("aac", rate=AUDIO_RATE_HZ)
        if frames_LHWC is not None and video is not None:
            for index, picture in enumerate(frames_LHWC):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, RATE)
                container.mux(video.encode(frame))
            container.mux(video.encode())
        if audio_N is not None and audio is not None:
            for start in range(0, len(audio_N), 1024):
                samples = np.ascontiguousarray(audio_N[None, start : start + 1024], np.float32)
                frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE_HZ, start, Fraction(1, AUDIO_RATE_HZ)
                container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return out.getvalue()


def write_manifest(songs: SongSet, path: Path) -> None:
    path.write_text(songs.manifest)
