"""Runs the whole pipeline with its default options on local videos, for the benchmark of real videos.

Fetched files, transcripts and OCR are kept in the cache as long as the code that makes them is the same; segments and clips
are made again in each run.
"""

from __future__ import annotations

import functools
import resource
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.segmentation_songs import BenchmarkVideo, OnProgress
from phonics_data.dataset.layout import MetadataRow, read_metadata
from phonics_data.errors import PhonicsDataError
from phonics_data.quality.filters import FilterOptions
from phonics_data.recognizers.engines import EngineOptions
from phonics_data.recognizers.whisper import WhisperOptions
from phonics_data.stages.pipeline import BuildOptions, build
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.stages.transcribe import TranscribeOptions
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace, file_sha256, fingerprint
from phonics_data.types import Kind, Rejection, Segment, SourceVideo

_PACKAGE = Path(__file__).parents[1] / "phonics_data"
_SOURCES_OF_TRANSCRIPTS = ("ocr", "recognizers", "captions", "media", "stages/fetch", "stages/transcribe.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltDataset:
    """Results of one run of the pipeline.

    Args:
        clips: rows of metadata.parquet; empty if no clip was kept.
        cpu_seconds: CPU time of all stages that had not been cached, child processes included.
    """

    workspace: Workspace
    folder: Path
    segments: tuple[Segment, ...]
    clips: tuple[MetadataRow, ...]
    rejections: tuple[Rejection, ...]
    cpu_seconds: float

    def refusal(self, video_id: str) -> str:
        """Why a video has no segments: the first rejection of the whole video."""
        return next((f"{one.reason}: {one.detail}" for one in self.rejections if one.item_id == video_id), "")


def build_dataset(
    cache: Path,
    name: str,
    videos: Sequence[BenchmarkVideo],
    *,
    kind: Kind,
    letters: str | None = None,
    model: str,
    size: int | None = None,
    workers: int,
    on_progress: OnProgress,
) -> BuiltDataset:
    """Run fetch, transcribe, segment and shard on local files.

    Args:
        name: of the workspace; workspaces with equal names share transcripts and OCR.
        kind, letters: of the manifest rows; `letters` None: those of each video.
        model: speech model, as in `WhisperOptions`.
        size: width and height of the clips; None for the default.
    """
    root = cache / "workspaces" / f"{name}-{fingerprint(_code_of_transcripts(), model)[:12]}"
    workspace, folder = Workspace(root), root.with_name(root.name + "-dataset")
    for path in (root / "items" / "segment", root / "items" / "shard", root / "clips", folder):
        shutil.rmtree(path, ignore_errors=True)
    rows = [
        SourceVideo(
            video_id=_file_id(video.video_id),
            url=str(video.path.resolve()),
            kind=kind,
            letters=letters or video.letters,
        )
        for video in videos
    ]
    shard_options = ShardOptions() if size is None else ShardOptions(width=size, height=size)
    options = BuildOptions(
        transcribe=TranscribeOptions(engine=EngineOptions(whisper=WhisperOptions(threads=1, model=model))),
        shard=shard_options,
    )
    before = _cpu_seconds()
    try:
        for _ in build(workspace, rows, folder, options, workers=workers, on_progress=on_progress):
            pass
    except PhonicsDataError:
        # A run that keeps no clip may end with an error; what is measured stands in the tables of the workspace.
        if not workspace.table("segments").exists():
            raise
    metadata = folder / "metadata.parquet"
    return BuiltDataset(
        workspace=workspace,
        folder=folder,
        segments=tuple(read_table(workspace.table("segments"), Segment)),
        clips=tuple(read_metadata(folder)) if metadata.exists() else (),
        rejections=tuple(read_table(workspace.table("rejections"), Rejection)),
        cpu_seconds=_cpu_seconds() - before,
    )


def built_id(video: BenchmarkVideo) -> str:
    """The id of a video in the workspace."""
    return _file_id(video.video_id)


def is_confident(segment: Segment) -> bool:
    """Whether the stage `shard` keeps a segment of this confidence with its default options."""
    return segment.confidence >= FilterOptions().min_confidence


def _file_id(video_id: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in video_id).strip("-")


@functools.cache
def _code_of_transcripts() -> str:
    """Digest of the code that fetches, recognizes and reads."""
    files: list[Path] = []
    for source in _SOURCES_OF_TRANSCRIPTS:
        path = _PACKAGE / source
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return fingerprint(*(file_sha256(path) for path in files))


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
