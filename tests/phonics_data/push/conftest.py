"""A dataset of three sources, its manifest, a local S3 server and a local Hub."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fake_hub import FakeHub
from tests.phonics_data.report.test_verify import make_dataset

SECRET_KEY = "verySecretKeyOfThisTest"


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("push"))


@pytest.fixture
def dataset(complete: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(complete, tmp_path / "dataset"))


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    """Addresses of two of the three sources, one with a secret, and of another video."""
    path = tmp_path / "songs.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["video_id", "url", "title"])
        rows.writerows(
            [["a", "https://example.org/a?v=1&token=topsecret", "A, the song"], ["b", "https://example.org/b", ""]]
        )
        rows.writerows([["c", "c.mp4", "a file"], ["z", "https://example.org/z", ""]])
    return str(path)


@dataclass
class Bucket:
    address: str
    environment: dict[str, str]
    client: Any

    def names(self, folder: str) -> list[str]:
        found = self.client.list_objects_v2(Bucket="songs", Prefix=f"{folder}/").get("Contents", [])
        return sorted(one["Key"].removeprefix(f"{folder}/") for one in found)

    def times(self, folder: str) -> dict[str, object]:
        found = self.client.list_objects_v2(Bucket="songs", Prefix=f"{folder}/").get("Contents", [])
        return {one["Key"].removeprefix(f"{folder}/"): one["LastModified"] for one in found}


@pytest.fixture(scope="module")
def s3_server() -> Iterator[Bucket]:
    pytest.importorskip("s3fs", reason="s3fs is not installed (extra cloud)")
    server = pytest.importorskip("moto.server", reason="moto is not installed (extra cloud-test)")
    boto3 = pytest.importorskip("boto3")
    one = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    one.start()
    host, port = one.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "AKIATESTTESTTEST1234",
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    client.create_bucket(Bucket="songs")
    yield Bucket(address="s3://songs", environment=environment, client=client)
    client.close()
    one.stop()


@pytest.fixture
def bucket(s3_server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    import s3fs

    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    yield s3_server
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed (extra cloud)")
    with FakeHub() as one, one.used(monkeypatch, tmp_path / "hub-cache"):
        yield one
