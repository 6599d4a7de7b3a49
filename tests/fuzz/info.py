"""JSON files: info.json beside a video, entries of the ledger, dataset.json, the record of a recognition. The first byte selects one."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

from phonics_data.dataset.layout import read_description
from phonics_data.errors import PhonicsDataError
from phonics_data.executors.items import finished_outcome
from phonics_data.recognizers.cache import read_cached
from phonics_data.review.app import title_of
from phonics_data.stages.fetch.ledger import fetch_report
from phonics_data.stages.fetch.local import copy_local_video
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Segment, SourceVideo
from tests.fuzz.inputs import TEXTS, changed_fields, damaged

INPUTS = 14_000
MODULES = ("phonics_data.contract.untrusted", "phonics_data.contract.records", "phonics_data.stages.fetch.ledger")
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-info-"))
_WORKSPACE = Workspace(_FOLDER / "work")
_VIDEO: dict[str, object] = {
    "video_id": "a1", "path": "media/a1/a1.mp4", "sha256": "ab" * 32, "num_bytes": 1, "duration_seconds": 60.0, "frame_rate": "30000/1001",
    "width": 64, "height": 64, "audio_rate_hz": 48000, "captions": None, "fetched_at": "2026-01-01T00:00:00Z", "fetcher_version": "x",
}  # fmt: skip
_REJECTION: dict[str, object] = {
    "stage": "segment", "item_id": "a1", "reason": "no_letters", "measured": None, "threshold": 0.5, "detail": "none",
}  # fmt: skip
_VALUES: tuple[dict[str, object], ...] = (
    {
        "id": "a1", "title": "ABC \u2764", "duration": 60.5, "language": "en", "channel": "K", "view_count": 12, "formats": [{"url": "https://h/x"}],
        "subtitles": {"en": [{"ext": "vtt", "url": "https://h/y"}]},
    },
    {"fingerprint": "f", "outcome": {
        "status": "failed", "video": _VIDEO, "rejection": _REJECTION, "url": "https://h/", "max_height": 360, "warnings": ["w"],
    }},
    {"fingerprint": "f", "outcome": {"kept": [{
        "segment_id": "a1-0000001", "video_id": "a1", "letter": "A", "object_word": None, "start_seconds": 1.0, "end_seconds": 2.0,
        "rule": "phrase", "evidence": "captions", "confidence": 0.9,
    }], "rejections": [_REJECTION], "is_temporary": False}},
    {
        "schema_version": 1, "digest": "0" * 16, "shards": [{"name": "train-000000.tar", "bytes": 1, "sha256": "0" * 64}],
        "counts": {"clips": 1, "clips_by_frame_rate": {"25": 1}}, "label_set": {"name": "letters", "names": ["A", "B"]},
        "options": {"filters": {"min_confidence": 0.2}},
    },
    {"engine": "e", "words": [{"text": "a", "start_seconds": 0.0, "end_seconds": 1.0, "confidence": 0.5, "timing": "native"}], "warnings": []},
    {"manifest": "m.csv", "untried": ["a1"], "stopped": ""},
)  # fmt: skip
SEEDS = tuple(bytes([number]) + json.dumps(value).encode() for number, value in enumerate(_VALUES))
WORDS = TEXTS


def sample(rng: random.Random) -> bytes:
    number = rng.randrange(len(_VALUES))
    if rng.random() < 0.6:
        return bytes([number]) + json.dumps(changed_fields(_VALUES[number], rng)).encode()[:16_000]
    return bytes([number]) + damaged(SEEDS[number][1:], rng, WORDS)


def read(data: bytes) -> bool:
    number = data[0] % len(_VALUES)
    try:
        return (_read_info, _read_entry, _read_outcome, _read_dataset, _read_recognition, _read_run)[number](data[1:])
    except PhonicsDataError:
        return False


def _written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _read_info(data: bytes) -> bool:
    _written(_FOLDER / "songs/a1.info.json", data)
    media = _FOLDER / "songs/a1.mp4"
    media.touch()
    folder = _WORKSPACE.media / "a1"
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    found = copy_local_video(SourceVideo(video_id="a1", url=str(media)), folder)
    assert found.duration_seconds is None or 0 < found.duration_seconds < 1e9
    found.title.encode()
    video = FetchedVideo(**{**_VIDEO, "frame_rate": 25})  # pyright: ignore[reportArgumentType]
    assert title_of(_WORKSPACE.root, video).isprintable()
    return bool(found.title)


def _read_entry(data: bytes) -> bool:
    _written(_WORKSPACE.ledger("fetch").path("a1"), data)
    report = fetch_report(_WORKSPACE)
    assert all(isinstance(line, str) for line in report.lines)
    return bool(report.by_status)


def _read_outcome(data: bytes) -> bool:
    _written(_WORKSPACE.ledger("segment").path("a1"), data)
    found = finished_outcome(_WORKSPACE.ledger("segment"), "a1", Segment)
    for segment in found.kept if found else ():
        assert abs(segment.start_seconds) <= 1e300, "a time is not a number"
        assert isinstance(segment.letter, str)
    return found is not None


def _read_dataset(data: bytes) -> bool:
    _written(_FOLDER / "dataset/dataset.json", data)
    read_description(_FOLDER / "dataset")
    return True


def _read_recognition(data: bytes) -> bool:
    found = read_cached(_written(_FOLDER / "recognition.json", data))
    return found is not None and all(isinstance(word.text, str) for word in found.words)


def _read_run(data: bytes) -> bool:
    path = _written(_WORKSPACE.root / "items/fetch-run.json", data)
    fetch_report(_WORKSPACE)
    path.unlink()
    return True
