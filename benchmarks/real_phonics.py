"""A dataset of real phonics clips: the ten that the paper's authors published, and the phrases of ten videos of one letter.

    path = build(shared, tmp / "work", tmp / "real")     # 30 clips, each at the frame rate of its source
    for sample in phonics_data.open_dataset(path): ...

`shared` is the folder of real material (environment variable PHONICS_SHARED_DATA). The material has no licence: it is measured
here, and nothing made from it is published.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

from benchmarks.segmentation_real import ONE_LETTER_TRUTH, read_one_letter_truth
from phonics_data.errors import InputError
from phonics_data.quality.split import Ratios
from phonics_data.sources.importer import LabelledFile, LabelledSegment, import_files
from phonics_data.sources.phonics import phonics_files
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.workspace import Workspace

NUM_PAPER_CLIPS, NUM_ONE_LETTER_PHRASES = 10, 20


def shared_folder() -> Path:
    """The folder that PHONICS_SHARED_DATA names. Raises `InputError` if it is not set or is no folder."""
    name = os.environ.get("PHONICS_SHARED_DATA", "")
    if not name or not Path(name).is_dir():
        raise InputError(
            f"PHONICS_SHARED_DATA: got {name or 'nothing'}, allowed: a folder with paper/dataset-samples and media/one-letter"
        )
    return Path(name)


def files(shared: Path) -> list[LabelledFile]:
    """The labelled files: ten whole clips, and ten videos of which two phrases each are clips (the one without an object word,
    in which only the letter's sound is repeated, is none).

    Raises:
        InputError: a folder or table is missing.
    """
    samples = shared / "paper" / "dataset-samples"
    found = phonics_files(samples, samples / "events.csv")
    phrases: dict[str, list[LabelledSegment]] = {}
    for row in read_one_letter_truth(ONE_LETTER_TRUTH):
        if row.object_word is not None:
            segment = LabelledSegment(
                label=row.letter,
                start_seconds=row.start_seconds,
                end_seconds=row.end_seconds,
                object_word=row.object_word,
            )
            phrases.setdefault(row.letter, []).append(segment)
    for letter, segments in phrases.items():
        path = shared / "media" / "one-letter" / f"{letter.lower()}.mp4"
        video_id = f"one-letter-{letter.lower()}"
        found.append(LabelledFile(video_id=video_id, path=path, segments=tuple(segments), group=video_id))
    return found


def build(
    shared: Path,
    work: Path,
    out: Path,
    *,
    size: int = 64,
    frame_rate: Fraction | None = None,
    ratios: Ratios | None = None,
) -> Path:
    """Build the dataset `out`, which contains all clips, and return its path.

    Args:
        shared: folder with paper/dataset-samples and media/one-letter.
        work: workspace to write.
        size: width and height of the clips in pixels. The authors' clips have 64; more enlarges them.
        frame_rate: of all clips; None: each clip keeps that of its source (24000/1001 to 30).
        ratios: of the splits; default: all clips are in train.

    Raises:
        InputError: material is missing, or a clip of it cannot be read.
    """
    return import_and_shard(files(shared), shared, work, out, size=size, frame_rate=frame_rate, ratios=ratios)


def import_and_shard(
    labelled: list[LabelledFile],
    source: Path,
    work: Path,
    out: Path,
    *,
    size: int,
    frame_rate: Fraction | None = None,
    ratios: Ratios | None = None,
) -> Path:
    """Import `labelled` files of the folder `source` and build the dataset `out`; other arguments as in `build`.

    Raises:
        InputError: a file cannot be read.
    """
    workspace = Workspace(work)
    with workspace.lock():
        counted = import_files(workspace, labelled, evidence="csv")
        if counted.num_rejected:
            raise InputError(
                f"{source}: {counted.num_rejected} of {counted.num_in} files cannot be read: {counted.by_reason}"
            )
        options = ShardOptions(
            frame_rate=frame_rate, width=size, height=size, ratios=ratios or Ratios(train=1.0, validation=0.0, test=0.0)
        )
        shard(workspace, out, options)
    return out
