"""Build a dataset from a folder of videos with captions: python examples/build_dataset.py VIDEOS WORK DATASET

A caption file has the name of its video: farm.mp4 with farm.en.vtt, .srt or .json3. Run the script again to continue.
"""

from __future__ import annotations

import sys
from pathlib import Path

from phonics_data.media import is_video_file
from phonics_data.stages.pipeline import BuildOptions, build
from phonics_data.storage.workspace import Workspace
from phonics_data.types import SourceVideo


def main(folder: Path, work: Path, out: Path) -> None:
    """Build `out` from every video in `folder`, and print what each stage kept and rejected."""
    videos = [
        SourceVideo(video_id=path.stem, url=str(path.resolve()))
        for path in sorted(folder.iterdir())
        if is_video_file(path)
    ]
    workspace = Workspace(work)
    with workspace.lock():
        for count in build(workspace, videos, out, BuildOptions(), workers=2):
            print(f"{count.stage}: kept {count.num_kept} of {count.num_in}, rejected {count.by_reason}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:4]))
