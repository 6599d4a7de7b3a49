"""Rendered alphabet songs with ground truth, for offline use, tests and benchmarks.

The files resemble songs on video sites: mp4 with audio, captions and info.json; a voice (espeak-ng) over music, letters,
words, and pictures (OpenMoji). There are two families: ``phrases`` (`phrases_plan`) and ``letters`` (`letters_plan`).

* A song depends on (seed, index) and its collection only.
* `plan_phrases_song` and `plan_letters_song` sample all random parameters of a song, `render_song` writes its files.
* `render_songs` writes a collection with ``manifest.csv`` and ``truth.parquet``; equal seeds give equal bytes. For the
  family ``phrases`` also ``events.parquet``, ``regions.parquet`` and ``splits.csv``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from phonics_data.contract.files import atomic_path, remove_leftovers, write_bytes
from phonics_data.contract.untrusted import read_json_object, read_parquet, rows_of_table
from phonics_data.errors import ItemError, OptionError, PhonicsDataError, TableError
from phonics_data.executors.items import OnProgress
from phonics_data.executors.local import map_items
from phonics_data.sources.synthetic import captions
from phonics_data.sources.synthetic.letters_plan import LettersPlan, plan_letters_song
from phonics_data.sources.synthetic.phrases_plan import PhrasesPlan, plan_phrases_song, style_of
from phonics_data.sources.synthetic.song_plan import MAX_SONGS, Family, SongPlan
from phonics_data.sources.synthetic.splits import split_songs
from phonics_data.sources.synthetic.timeline import Timeline, build_timeline, true_segments
from phonics_data.storage.object_table import SUFFIX, ObjectBox, ObjectRow, plan_of_objects, write_objects
from phonics_data.storage.workspace import write_json
from phonics_data.types import Split, TrueSegment, Word

if TYPE_CHECKING:
    from PIL import Image

    from phonics_data.sources.synthetic.compose import Scene
    from phonics_data.sources.synthetic.music import Track
    from phonics_data.sources.synthetic.phrases_scenes import Event

RENDERER_VERSION = 8
"""Part of a song's marker file; increase it whenever the same plan gives other files."""

MANIFEST, TRUTH = "manifest.csv", "truth.parquet"
EVENTS, REGIONS, SPLITS = "events.parquet", "regions.parquet", "splits.csv"
_MARKERS = ".rendered"
_MANIFEST_COLUMNS = ("video_id", "url", "title", "channel", "kind", "letters", "language", "tier", "note")


def render_songs(
    out: Path,
    *,
    num_songs: int,
    seed: int,
    family: Family = "phrases",
    test_songs: int = 0,
    test_seed: int | None = None,
    unseen_style_songs: int = 0,
    workers: int = 2,
    on_progress: OnProgress | None = None,
) -> None:
    """Render `num_songs` songs into `out`; finished songs with the same plan are kept.

    Files beside ``<video_id>.mp4``, ``.info.json`` and captions: ``manifest.csv`` and ``truth.parquet`` (a row for each
    phrase); for the family ``phrases`` also

    * ``<video_id>.objects.parquet`` for each song: the pictures of its objects (`phonics_data.storage.object_table`).
    * ``splits.csv``: video_id, split. Songs of one style are in training if any of them is in another split.
    * ``events.parquet``: video_id, phrase, style, event, region, start_seconds, end_seconds, lasting.
    * ``regions.parquet``: video_id, region, start_seconds, end_seconds, left, top, right, bottom (fractions of the frame): the
      box of each thing, one row for each time in which it is constant.

    Args:
        out: folder.
        num_songs: 1 to 10000. Songs do not depend on it.
        seed: 0 or more. Equal seeds give equal bytes of all tables.
        family: of the songs.
        test_songs: further songs ``test-0000`` ..., the split ``test``, of styles that occur in training. 0: test songs
            are chosen among the `num_songs` songs.
        test_seed: seed of the test songs; not `seed`.
        unseen_style_songs: further songs ``unseen-0000`` ..., the split ``unseen-styles``.
        workers: processes.
        on_progress: called with ("render", songs done, songs in all).

    Raises:
        OptionError: an argument is out of range.
        DependencyError: the voice, the pictures or a font are not installed (extra ``demo``).
    """
    if not 1 <= num_songs <= MAX_SONGS:
        raise OptionError("--songs", num_songs, f"1 to {MAX_SONGS}")
    if family not in get_args(Family):
        raise OptionError("--family", family, " or ".join(get_args(Family)))
    for option, value in (("--test-songs", test_songs), ("--unseen-style-songs", unseen_style_songs)):
        if not 0 <= value <= MAX_SONGS:
            raise OptionError(option, value, f"0 to {MAX_SONGS}")
        if value and family == "letters":
            raise OptionError(option, value, "0 for --family letters, whose songs have no styles")
    if test_songs and (test_seed is None or test_seed == seed):
        raise OptionError("--test-seed", test_seed, f"with --test-songs, a seed other than --seed ({seed})")
    if workers < 1:
        raise OptionError("--workers", workers, "1 or more")
    plans: Sequence[SongPlan]
    if family == "letters":
        plans = [plan_letters_song(seed, index) for index in range(num_songs)]
        splits = None
    else:
        plans, splits = _phrases_plans(num_songs, seed, test_songs, test_seed, unseen_style_songs)
    remove_leftovers(out)
    waiting = [plan for plan in plans if not is_rendered(plan, out)]
    done = len(plans) - len(waiting)
    report = on_progress or (lambda _stage, _done, _total: None)
    report("render", done, len(plans))
    for plan, result in map_items(partial(_render, folder=out), waiting, workers=workers):
        if isinstance(result, ItemError):
            raise PhonicsDataError(f"{plan.video_id}: {result}; run the same command again, finished songs are kept")
        report("render", done := done + 1, len(plans))
    for plan in plans:
        if not isinstance(plan, PhrasesPlan):
            (out / f"{plan.video_id}{SUFFIX}").unlink(missing_ok=True)  # of a song of the other family
    without = [plan for plan in plans if isinstance(plan, PhrasesPlan) and not _has_objects(plan, out)]
    for plan, result in map_items(partial(_write_objects, folder=out), without, workers=workers):
        if isinstance(result, ItemError):
            raise PhonicsDataError(f"{plan.video_id}: {result}; run the same command again, finished songs are kept")
    write_bytes(out / MANIFEST, _csv(_MANIFEST_COLUMNS, map(_manifest_row, plans)))
    write_tables(plans, out)
    if splits is None:
        (out / SPLITS).unlink(missing_ok=True)  # of songs of the other family
    else:
        write_bytes(out / SPLITS, _csv(("video_id", "split"), sorted(splits.items())))


def _phrases_plans(
    num_songs: int, seed: int, test_songs: int, test_seed: int | None, unseen_style_songs: int
) -> tuple[list[PhrasesPlan], dict[str, Split]]:
    songs = [plan_phrases_song(seed, index) for index in range(num_songs)]
    splits = split_songs(songs, seed=seed, with_test=not test_songs)
    seen = tuple(sorted({plan.style for plan in songs if splits[plan.video_id] == "train"}))
    other_seed = seed if test_seed is None else test_seed
    tests = [plan_phrases_song(other_seed, index, collection="test", styles=seen) for index in range(test_songs)]
    unseen = [plan_phrases_song(other_seed, index, collection="unseen") for index in range(unseen_style_songs)]
    others: tuple[tuple[Split, list[PhrasesPlan]], ...] = (("test", tests), ("unseen-styles", unseen))
    for split, held_out in others:
        splits |= dict.fromkeys((plan.video_id for plan in held_out), split)
    return [*songs, *tests, *unseen], splits


def render_song(plan: SongPlan, folder: Path) -> list[TrueSegment]:
    """Write one song's files into `folder`, each atomically, and its marker file last.

    Returns:
        The song's true segments, sorted by time.
    """
    from phonics_data.media import write_song_mp4
    from phonics_data.sources.synthetic import compose
    from phonics_data.sources.synthetic.music import RATE_HZ, mix

    timeline = build_timeline(plan)
    voice, soundtrack = mix(plan, timeline)
    song_scenes, events = build_scenes(plan, timeline, voice)
    with atomic_path(folder / f"{plan.video_id}.mp4") as path:
        frames = compose.frames(song_scenes, *_logo(plan))
        write_song_mp4(path, frames, plan.frame_rate, soundtrack, RATE_HZ, key_frame_seconds=plan.key_frame_seconds)
    if suffix := captions.file_suffix(plan):
        text = json.dumps(captions.json3(plan, timeline), ensure_ascii=False, indent=1)
        write_bytes(folder / f"{plan.video_id}{suffix}", text.encode())
    write_json(folder / f"{plan.video_id}.info.json", _info(plan, timeline))
    segments = true_segments(plan, timeline)
    sizes = {name: (folder / name).stat().st_size for name in _files(plan)}
    marker = {
        "plan": _plan_id(plan),
        "sizes": sizes,
        "segments": [asdict(segment) for segment in segments],
        "events": [_event_row(plan, event) for event in events],
        "regions": _region_rows(plan, song_scenes) if isinstance(plan, PhrasesPlan) else [],
    }
    write_json(folder / _MARKERS / f"{plan.video_id}.json", marker)
    return segments


def build_scenes(plan: SongPlan, timeline: Timeline, voice: Track) -> tuple[list[Scene], list[Event]]:
    """(the song's scenes, its events; none for the family ``letters``)."""
    if isinstance(plan, PhrasesPlan):
        from phonics_data.sources.synthetic import phrases_scenes

        return phrases_scenes.build(plan, timeline)
    assert isinstance(plan, LettersPlan)
    from phonics_data.sources.synthetic import letters_scenes
    from phonics_data.sources.synthetic.motion import onsets

    return letters_scenes.build(plan, timeline, onsets(timeline, voice)), []


def _logo(plan: SongPlan) -> tuple[Image.Image | None, tuple[int, int]]:
    from phonics_data.sources.synthetic.sprites import logo

    return logo(plan.logo, plan.logo_corner)


def _event_row(plan: SongPlan, event: Event) -> dict[str, object]:
    return {
        "phrase": event.phrase,
        "event": event.event,
        "region": event.region,
        "start_seconds": round(event.first_frame / plan.frame_rate, 6),
        "end_seconds": round(event.last_frame / plan.frame_rate, 6),
        "lasting": event.lasting,
    }


def _region_rows(plan: SongPlan, scenes: Iterable[Scene]) -> list[dict[str, object]]:
    """The boxes of all regions by time; consecutive frames with equal boxes are one row."""
    from phonics_data.sources.synthetic.compose import region_boxes

    rows: list[dict[str, object]] = []
    for scene in scenes:
        for region, boxes in region_boxes(scene).items():
            start = 0
            for step in range(1, len(boxes) + 1):
                if step < len(boxes) and boxes[step] == boxes[start]:
                    continue
                if box := boxes[start]:
                    sides = zip(("left", "top", "right", "bottom"), box, strict=True)
                    rows.append(
                        {
                            "region": region,
                            "start_seconds": round((scene.first_frame + start) / plan.frame_rate, 6),
                            "end_seconds": round((scene.first_frame + step) / plan.frame_rate, 6),
                            **{side: round(value, 4) for side, value in sides},
                        }
                    )
                start = step
    return rows


def _render(plan: SongPlan, folder: Path) -> None:
    render_song(plan, folder)


def _has_objects(plan: PhrasesPlan, folder: Path) -> bool:
    return plan_of_objects(folder / f"{plan.video_id}{SUFFIX}") == _objects_id(plan)


def _write_objects(plan: PhrasesPlan, folder: Path) -> None:
    """Write the pictures of the song's objects; its other files are finished."""
    import numpy as np

    from phonics_data.contract.picture import encode_png
    from phonics_data.sources.synthetic.phrases_scenes import object_picture

    marker, style = _marker(plan, folder), style_of(plan)
    shown = {row["phrase"]: row["start_seconds"] for row in marker["events"] if row["event"] == "object_appears"}
    sections = [section for section in plan.sections if section.kind == "letter"]
    rows = [
        ObjectRow(
            object_word=segment["object_word"],
            start_seconds=segment["start_seconds"],
            end_seconds=segment["end_seconds"],
            shown_seconds=shown[phrase],
            png=encode_png(np.asarray(object_picture(style, section))),
            boxes=_object_boxes(marker["regions"], shown[phrase], segment["end_seconds"]),
        )
        for phrase, (segment, section) in enumerate(zip(marker["segments"], sections, strict=True))
    ]
    write_objects(folder / f"{plan.video_id}{SUFFIX}", rows, _objects_id(plan))


def _objects_id(plan: SongPlan) -> str:
    # Tables of earlier releases lack the boxes and are written again.
    return f"boxes-{_plan_id(plan)}"


def _object_boxes(
    regions: Sequence[Mapping[str, Any]], start_seconds: float, end_seconds: float
) -> tuple[ObjectBox, ...]:
    """The boxes of the region ``object`` in [start, end); before that, they are of the object of the phrase before."""
    boxes = [
        ObjectBox(
            start_seconds=max(row["start_seconds"], start_seconds),
            end_seconds=min(row["end_seconds"], end_seconds),
            **{side: row[side] for side in ("left", "top", "right", "bottom")},
        )
        for row in regions
        if row["region"] == "object"
    ]
    return tuple(
        sorted((box for box in boxes if box.end_seconds > box.start_seconds), key=lambda box: box.start_seconds)
    )


def read_truth(path: Path) -> list[TrueSegment]:
    """The true segments of a ``truth.parquet``, sorted by video and start.

    Raises:
        TableError: no such file, or not a truth table.
    """
    try:
        table = read_parquet(path)
        rows = rows_of_table(table)
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; `phonics-data render` writes it") from None
    except ValueError as error:
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
        return read_json_object(folder / _MARKERS / f"{plan.video_id}.json")
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


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def _manifest_row(plan: SongPlan) -> tuple[object, ...]:
    letters = "".join(dict.fromkeys(plan.letters))
    kind = "alphabet" if isinstance(plan, LettersPlan) else "letter" if len(letters) == 1 else "range"
    note = f"rendered: {plan.kind}, style {_style(plan)}, captions {plan.captions}"
    return plan.video_id, f"{plan.video_id}.mp4", plan.title, plan.channel, kind, letters, "en", 1, note


def _style(plan: SongPlan) -> str:
    """Name of the style; for the family ``letters``, how letters appear."""
    if isinstance(plan, PhrasesPlan):
        return plan.style
    return plan.way if isinstance(plan, LettersPlan) else ""


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
            ("style", pa.string()),
        ]
    )


def _events_schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("video_id", pa.string()),
            ("phrase", pa.int64()),
            ("style", pa.string()),
            ("event", pa.string()),
            ("region", pa.string()),
            ("start_seconds", pa.float64()),
            ("end_seconds", pa.float64()),
            ("lasting", pa.bool_()),
        ]
    )


def _regions_schema() -> Any:
    import pyarrow as pa

    names = ("start_seconds", "end_seconds", "left", "top", "right", "bottom")
    return pa.schema([("video_id", pa.string()), ("region", pa.string()), *((name, pa.float64()) for name in names)])


def write_tables(plans: Sequence[SongPlan], folder: Path) -> None:
    """Write the tables of the ground truth from the markers of the songs."""
    truth: list[dict[str, object]] = []
    events: list[dict[str, object]] = []
    regions: list[dict[str, object]] = []
    for plan in sorted(plans, key=lambda plan: plan.video_id):
        marker, video = _marker(plan, folder), {"video_id": plan.video_id}
        song = {"captions": plan.captions, "song_kind": plan.kind, "style": _style(plan)}
        for segment in marker["segments"]:
            words = [
                {"text": w["text"], "start": w["start_seconds"], "end": w["end_seconds"]} for w in segment["words"]
            ]
            truth.append(segment | {"words": words} | song)
        events += [row | video | {"style": _style(plan)} for row in marker["events"]]
        regions += [row | video for row in marker["regions"]]
    _write_table(folder / TRUTH, truth, _truth_schema())
    if all(isinstance(plan, PhrasesPlan) for plan in plans):
        _write_table(folder / EVENTS, events, _events_schema())
        _write_table(folder / REGIONS, regions, _regions_schema())
    else:
        for name in (EVENTS, REGIONS):  # of songs of the other family
            (folder / name).unlink(missing_ok=True)


def _write_table(path: Path, rows: list[dict[str, object]], schema: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_path(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary)


def _segment(row: dict[str, Any]) -> TrueSegment:
    return TrueSegment(
        video_id=row["video_id"],
        letter=row["letter"],
        object_word=row["object_word"],
        start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"],
        words=tuple(Word(text=w["text"], start_seconds=w["start"], end_seconds=w["end"]) for w in row["words"]),
    )
