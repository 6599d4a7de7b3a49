"""What the timeline of the page shows: waveform, words, letters on the screen, cuts. Collected once and cached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phonics_data.contract.untrusted import read_json_object
from phonics_data.storage.workspace import Workspace, write_json
from phonics_data.types import FetchedVideo

EVIDENCE_VERSION = 1


def cache_folder(workspace: Workspace) -> Path:
    """Folder of everything that can be made again: evidence and previews."""
    return workspace.root / "review"


def _path(workspace: Workspace, video: FetchedVideo) -> Path:
    return cache_folder(workspace) / "evidence" / f"{video.video_id}-{video.sha256[:16]}-{EVIDENCE_VERSION}.json"


def cached_evidence(workspace: Workspace, video: FetchedVideo) -> dict[str, Any] | None:
    """The evidence if it was collected earlier, else None."""
    try:
        return read_json_object(_path(workspace, video))
    except (OSError, ValueError):
        return None


def collect(workspace: Workspace, video: FetchedVideo) -> dict[str, Any]:
    """The evidence of a video as JSON values. It decodes the whole video, in its own process with limits.

    * ``peaks``: 0..100, the largest amplitude of each hundredth of a second.
    * ``cuts``: seconds. ``words``: [text, start, end]. ``screen``: [letter, start, end].
    * ``loudness``: as in `phonics_data.segmentation.alignment.loudness_digits`.

    Raises:
        ItemError: the video cannot be decoded, or the limits were exceeded.
    """
    if (cached := cached_evidence(workspace, video)) is not None:
        return cached
    result = _collect(workspace, video)
    write_json(_path(workspace, video), result, indent=None)
    return result


def _collect(workspace: Workspace, video: FetchedVideo) -> dict[str, Any]:
    from phonics_data.show.video_evidence import collect_evidence
    from phonics_data.stages.reviewed_segments import video_loudness

    found = collect_evidence(workspace, video.video_id)
    return {
        "peaks": np.round(100 * found.peaks_N).astype(int).tolist(),
        "cuts": [round(cut, 3) for cut in found.cuts],
        "words": [[word.text[:40], round(word.start_seconds, 3), round(word.end_seconds, 3)] for word in found.words],
        "screen": [[one.letter, round(one.start_seconds, 3), round(one.end_seconds, 3)] for one in found.screen],
        "loudness": video_loudness(workspace, found.video),
    }
