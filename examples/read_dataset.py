"""Read a dataset with pandas and with WebDataset: python examples/read_dataset.py DATASET"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas
import webdataset


def main(dataset: Path) -> None:
    """Print the number of clips per class and split, and the shapes of the samples of one shard."""
    clips = pandas.read_parquet(dataset / "metadata.parquet")  # one row per clip
    print(clips.groupby(["label", "split"]).size().unstack(fill_value=0))
    print(clips.nsmallest(5, "confidence")[["sample_id", "label", "object_word", "confidence"]])

    shard = sorted(dataset.glob("train-*.tar"))[0]
    for sample in webdataset.WebDataset(str(shard), shardshuffle=False).decode():
        frames, meta = sample["frames.npy"], sample["meta.json"]  # uint8 (frames, height, width, 3)
        print(sample["__key__"], meta["label"], frames.shape, f"{len(sample['audio.flac'])} bytes of FLAC")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
