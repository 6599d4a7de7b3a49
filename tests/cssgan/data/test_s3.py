"""Training reads a dataset from a real S3 server on this machine, also in reader processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cssgan.data.shards import find_shards
from cssgan.training import loop
from phonics_data.errors import DatasetError
from phonics_data.push import PushOptions, push
from tests.cssgan.toy_dataset import tiny_config
from tests.phonics_data.push.conftest import Bucket, bucket, s3_server
from tests.phonics_data.report.test_verify import make_dataset

__all__ = ["bucket", "s3_server"]


@pytest.mark.parametrize("loader", ["resident", "streaming"])
def test_training_from_s3_equals_training_from_a_folder(loader: str, bucket: Bucket, tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    address = f"{bucket.address}/{loader}"
    push(dataset, address, PushOptions(has_rights=True))
    config = tiny_config(f"data.loader={loader}", "data.workers=1", "train.num_videos=6", "train.batch_size=2")
    for place, run in ((dataset, "local"), (address, "remote")):
        assert loop.train(config, place, tmp_path / run).status == "finished"
    weights = [
        next((tmp_path / run / "checkpoints").rglob("*.safetensors")).read_bytes() for run in ("local", "remote")
    ]
    assert weights[0] == weights[1]


def test_tables_alone_cannot_be_trained_on(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "songs.csv").write_text("video_id,url\na,https://example.org/a\n")
    address = f"{bucket.address}/tables-only"
    push(make_dataset(tmp_path), address, PushOptions(manifest=str(tmp_path / "songs.csv")))
    with pytest.raises(DatasetError, match="was published without its shards; rebuild it: phonics-data build"):
        find_shards(address, "train")
