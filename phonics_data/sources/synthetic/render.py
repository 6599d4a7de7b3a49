"""Rendered alphabet songs with ground truth, for offline use, tests and benchmarks.

The files resemble songs on video sites: mp4 with audio, captions and info.json; a voice (espeak-ng) over music, letters
animated with the syllables, pictures (OpenMoji) that appear with their word.

* A song depends on (seed, index) only.
* `plan_song` samples all random parameters of a song, `render_song` writes its files.
* `render_songs` writes a collection with ``manifest.csv`` and ``truth.parquet``; equal seeds give equal bytes.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from phonics_data.contract.files import atomic_path, write_bytes
from phonics_data.errors import ItemError, OptionError, PhonicsDataError, TableError
from phonics_data.executors.items import OnProgress
from phonics_data.executors.local import map_items
from phonics_data.sources.synthetic import captions
from phonics_data.sources.synthetic.song_plan import MAX_SONGS, SectionPlan, SongPlan, Token, plan_song
from phonics_data.sources.synthetic.timeline import Timeline, build_timeline, true_segments
from phonics_data.storage.workspace import write_json
from phonics_data.types import TrueSegment, Word

__all__ = ["SectionPlan", "SongPlan", "Token", "is_rendered", "plan_song", "read_truth", "render_song", "render_songs"]

RENDERER_VERSION = 6
"""Part of a song's marker file; increase it whenever the same plan gives other files."""

MANIFEST, TRUTH = "manifest.csv", "truth.parquet"
_MARKERS = ".rendered"
_MANIFEST_COLUMNS = ("video_id", "url", "title", "channel", "kind", "letters", "language", "tier", "note")


def render_songs(
    out: Path, *, num_songs: int, seed: int, workers: int = 2, on_progress: OnProgress | None = None
) -> None:
    """Render `num_songs` songs into `out`; finished songs with the same plan are kept.

    Args:
        out: folder for ``<video_id>.mp4``, ``.info.json``, captions, ``manifest.csv`` and ``truth.parquet``.
        num_songs: 1 to 10000. Songs do not depend on it.
        seed: 0 or more. Equal seeds give equal bytes of manifest and truth.
        workers: processes.
        on_progress: called with ("render", songs done, songs in all).

    Raises:
        OptionError: an argument is out of range.
        DependencyError: the voice, the pictures or a font are not installed (extra ``demo``).
    """
    if not 1 <= num_songs <= MAX_SONGS:
        raise OptionError("--songs", num_songs, f"1 to {MAX_SONGS}")
    if workers < 1:
        raise OptionError("--workers", workers, "1 or more")
    plans = [plan_song(seed, index) for index in range(num_songs)]
    waiting = [plan for plan in plans if not is_rendered(plan, out)]
    done = num_songs - len(waiting)
    report = on_progress or (lambda _stage, _done, _total: None)
    report("render", done, num_songs)
    for plan, result in map_items(partial(_render, folder=out), waiting, workers=workers):
        if isinstance(result, ItemError):
            raise PhonicsDataError(f"{plan.video_id}: {result}; run the same command again, finished songs are kept")
        report("render", done := done + 1, num_songs)
    write_bytes(out / MANIFEST, _manifest(plans))
    _write_truth(out / TRUTH, plans, out)


def render_song(plan: SongPlan, folder: Path) -> list[TrueSegment]:
    """Write one song's files into `folder`, each atomically, and its marker file last.

    Returns:
        The song's true segments, sorted by time.
    """
    from phonics_data.media import write_song_mp4
    from phonics_data.sources.synthetic import compose, scenes
    from phonics_data.sources.synthetic.motion import light_curve, onsets
    from phonics_data.sources.synthetic.music import RATE_HZ, mix

    timeline = build_timeline(plan)
    voice, soundtrack = mix(plan, timeline)
    logo, logo_position = scenes.logo(plan)
    brightness = light_curve(soundtrack, timeline.sections[-1].last_frame, plan.frame_rate)
    song_scenes = scenes.build(plan, timeline, onsets(timeline, voice), brightness)
    with atomic_path(folder / f"{plan.video_id}.mp4") as path:
        frames = compose.frames(song_scenes, plan.camera, plan.frame_rate, logo, logo_position)
        write_song_mp4(path, frames, plan.frame_rate, soundtrack, RATE_HZ, key_frame_seconds=plan.key_frame_seconds)
    if suffix := captions.file_suffix(plan):
        text = json.dumps(captions.json3(plan, timeline), ensure_ascii=False, indent=1)
        write_bytes(folder / f"{plan.video_id}{suffix}", text.encode())
    write_json(folder / f"{plan.video_id}.info.json", _info(plan, timeline))
    segments = true_segments(plan, timeline)
    sizes = {name: (folder / name).stat().st_size for name in _files(plan)}
    marker = {"plan": _plan_id(plan), "sizes": sizes, "segments": [asdict(segment) for segment in segments]}
    write_json(folder / _MARKERS / f"{plan.video_id}.json", marker)
    return segments


def _render(plan: SongPlan, folder: Path) -> None:
    render_song(plan, folder)


def read_truth(path: Path) -> list[TrueSegment]:
    """The true segments of a ``truth.parquet``, sorted by video and start.

    Raises:
        TableError: no such file, or not a truth table.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; `phonics-data render` writes it") from None
    except pa.ArrowInvalid as error:
        raise TableError(f"{path}: not a parquet file ({error}); render the songs again") from error
    if rows and (missing := set(_truth_schema().names) - set(rows[0])):
        raise TableError(
            f"{path}: not a truth table, missing columns: {', '.join(sorted(missing))}; render the songs again"
        )
    return [_segment(row) for row in rows]


def _files(plan: SongPlan) -> list[str]:
    suffix = captions.file_suffix(plan)
    return [f"{plan.video_id}{end}" for end in (".mp4", ".info.json", *((suffix,) if suffix else ()))]


def _plan_id(plan: SongPlan) -> str:
    return f"{RENDERER_VERSION}-{plan.digest()}"


def _marker(plan: SongPlan, folder: Path) -> dict[str, Any]:
    """The content of the song's marker file; empty if it is missing or unreadable."""
    try:
        return json.loads((folder / _MARKERS / f"{plan.video_id}.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return {}


def is_rendered(plan: SongPlan, folder: Path) -> bool:
    """Whether `folder` contains all files of this plan, rendered by this version."""
    marker = _marker(plan, folder)
    if marker.get("plan") != _plan_id(plan):
        return False
    sizes: dict[str, int] = marker["sizes"]
    return all((folder / name).is_file() and (folder / name).stat().st_size == size for name, size in sizes.items())


def _info(plan: SongPlan, timeline: Timeline) -> dict[str, object]:
    """The fields of yt-dlp's info.json that this project reads."""
    return {
        "id": plan.video_id,
        "title": plan.title,
        "channel": plan.channel,
        "uploader": plan.channel,
        "duration": round(timeline.num_frames / plan.frame_rate, 3),
        "description": f"{plan.title}. A rendered alphabet song.",
        "language": "en",
        "width": 640,
        "height": 360,
        "fps": plan.frame_rate,
        "ext": "mp4",
    }


def _manifest(plans: Sequence[SongPlan]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_MANIFEST_COLUMNS)
    for plan in plans:
        letters = "".join(dict.fromkeys(plan.letters))
        note = f"rendered: {plan.kind}, letters by {plan.way}, captions {plan.captions}"
        writer.writerow(
            (plan.video_id, f"{plan.video_id}.mp4", plan.title, plan.channel, "alphabet", letters, "en", 1, note)
        )
    return text.getvalue().encode()


def _truth_schema() -> Any:
    import pyarrow as pa

    word = pa.struct([("text", pa.string()), ("start", pa.float64()), ("end", pa.float64())])
    return pa.schema(
        [
            ("video_id", pa.string()),
            ("letter", pa.string()),
            ("object_word", pa.string()),
            ("start_seconds", pa.float64()),
            ("end_seconds", pa.float64()),
            ("words", pa.list_(word)),
            ("captions", pa.string()),
            ("song_kind", pa.string()),
            ("way", pa.string()),
        ]
    )


def _write_truth(path: Path, plans: Sequence[SongPlan], folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: list[dict[str, object]] = []
    for plan in sorted(plans, key=lambda plan: plan.video_id):
        for segment in _marker(plan, folder)["segments"]:
            words = [
                {"text": w["text"], "start": w["start_seconds"], "end": w["end_seconds"]} for w in segment["words"]
            ]
            song = {"captions": plan.captions, "song_kind": plan.kind, "way": plan.way}
            rows.append(segment | {"words": words} | song)
    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=_truth_schema()), temporary)


def _segment(row: dict[str, Any]) -> TrueSegment:
    return TrueSegment(
        video_id=row["video_id"],
        letter=row["letter"],
        object_word=row["object_word"],
        start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"],
        words=tuple(Word(text=w["text"], start_seconds=w["start"], end_seconds=w["end"]) for w in row["words"]),
    )
