"""Train a small model, then generate a video: python examples/train_and_generate.py DATASET RUN IMAGE AUDIO LABEL OUT.mp4 [STEPS]

The default is the whole preset `small` (over an hour on a CPU). Run the script again to continue the training.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cssgan.config import override
from cssgan.inference.export import load_generator
from cssgan.inference.generate import generate_video
from cssgan.presets import preset
from cssgan.training.loop import train


def main(
    dataset: Path, run: Path, image: Path, audio: Path, label: str, out: Path, num_steps: int | None = None
) -> None:
    """Train on `dataset`, then generate `out` from one image, one audio file and one class label."""
    config = preset("small")
    if num_steps is not None:
        config = override(config, [f"train.num_videos={num_steps * config.train.batch_size}"])
    train(config, dataset, run)
    video = generate_video(load_generator(run), image=image, audio=audio, label=label, out=out)
    print(f"{video.path}: {video.num_frames} frames at {video.frame_rate} frames per second")


if __name__ == "__main__":
    if len(sys.argv) not in (7, 8):
        sys.exit(__doc__)
    dataset, run, image, audio, label, out, *steps = sys.argv[1:]
    main(Path(dataset), Path(run), Path(image), Path(audio), label, Path(out), int(steps[0]) if steps else None)
