"""Songs whose segments a person completed in `phonics-data review`, as further songs of a fit."""

from __future__ import annotations

from pathlib import Path

from benchmarks.segmentation_songs import BenchmarkVideo, SourceWords
from phonics_data.errors import InputError
from phonics_data.ocr.trace import trace_path
from phonics_data.report.letters import reviewed_truth
from phonics_data.segmentation.lexicon import LETTERS
from phonics_data.stages.reviewed_segments import REVIEWS_FILE
from phonics_data.stages.segment import words_by_video
from phonics_data.storage.reviews import read_reviews
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo


def reviewed_videos(work: Path) -> tuple[list[BenchmarkVideo], list[str]]:
    """(completed videos of a workspace that have an OCR trace, why others are not used).

    Raises:
        InputError: the workspace has no such video.
    """
    workspace = Workspace(work, must_exist=True)
    truth, _, unused = reviewed_truth(workspace, read_reviews(work / REVIEWS_FILE, f"--work {work}:"))
    words, origins = words_by_video(workspace)
    found: list[BenchmarkVideo] = []
    for video in read_table(workspace.table("videos"), FetchedVideo):
        if video.video_id not in truth:
            continue
        trace = trace_path(workspace.root, video.video_id)
        if not trace.exists():
            unused.append(
                f"{video.video_id}: OCR was not run; run `phonics-data transcribe --work {work} --ocr always`"
            )
            continue
        segments = truth[video.video_id]
        origin = origins.get(video.video_id, "none")
        source = "speech" if origin in ("google", "whisper") else "words"
        sources = {source: SourceWords(words=tuple(words[video.video_id]), origin=origin)} if origin != "none" else {}
        found.append(
            BenchmarkVideo(
                video_id=video.video_id,
                path=workspace.root / video.path,
                kind="reviewed",
                way="",
                is_whole="".join(dict.fromkeys(one.letter for one in segments)) == LETTERS,
                is_rendered=False,
                truth=segments,
                duration_seconds=video.duration_seconds,
                letters=video.letters,
                words=sources,
                trace=trace,
            )
        )
    if not found:
        raise InputError(
            f"--work {work}: no reviewed video can be used; {'; '.join(unused[:3]) or 'complete some first'}"
        )
    return found, unused
