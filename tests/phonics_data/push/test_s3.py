"""Datasets are sent to a real S3 server on this machine, read from there, and sent again where they differ."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from phonics_data.dataset.reader import load_metadata, open_dataset
from phonics_data.errors import DatasetError, InputError, OptionError, RemoteError, UsageError
from phonics_data.push import PushOptions, plan_push, push
from phonics_data.report.verify import verify
from phonics_data.storage.manifest import read_manifest
from tests.phonics_data.push.conftest import SECRET_KEY, Bucket

WHOLE = PushOptions(has_rights=True)


def sent(plan: object) -> list[str]:
    return [step.name for step in plan.steps if step.action == "send"]  # type: ignore[attr-defined]


def test_a_whole_dataset_is_sent_once_and_read_back(dataset: Path, bucket: Bucket) -> None:
    address = f"{bucket.address}/whole"
    assert sent(plan_push(dataset, address, WHOLE))[-1] == "dataset.json"
    assert bucket.names("whole") == []  # a plan sends nothing
    push(dataset, address, WHOLE)
    assert "report.html" not in bucket.names("whole")
    assert verify(address).faults == ()
    assert verify(address).num_samples == 6
    assert {sample.key for sample in open_dataset(address)} == set(load_metadata(dataset).sample_id)
    assert load_metadata(address).equals(load_metadata(dataset))
    before = bucket.times("whole")
    assert sent(push(dataset, address, WHOLE)) == []
    assert bucket.times("whole") == before


def test_only_what_differs_is_sent_again(dataset: Path, bucket: Bucket) -> None:
    address = f"{bucket.address}/repair"
    push(dataset, address, WHOLE)
    size = (dataset / "train-000000.tar").stat().st_size
    bucket.client.put_object(Bucket="songs", Key="repair/train-000000.tar", Body=b"\0" * size)  # the same size
    bucket.client.delete_object(Bucket="songs", Key="repair/videos.parquet")
    bucket.client.put_object(Bucket="songs", Key="repair/train-000007.tar", Body=b"of an earlier, longer dataset")
    faults = verify(address).faults
    assert any(fault.startswith("train-000000.tar: changed") for fault in faults)
    assert "videos.parquet: missing, but listed in SHA256SUMS" in faults
    plan = push(dataset, address, WHOLE)
    assert sent(plan) == ["train-000000.tar", "videos.parquet", "dataset.json"]
    assert [step.name for step in plan.steps if step.action == "delete"] == ["train-000007.tar"]
    assert "train-000007.tar" not in bucket.names("repair")
    assert verify(address).faults == ()


def test_an_interrupted_push_is_no_dataset_and_continues(
    dataset: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    address = f"{bucket.address}/interrupted"
    put_file, num_sent = s3fs.S3FileSystem.put_file, 0

    def put_three(self: object, *arguments: object, **more: object) -> object:
        nonlocal num_sent
        if num_sent == 3:
            raise ConnectionResetError("connection reset")
        num_sent += 1
        return put_file(self, *arguments, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "put_file", put_three)
    with pytest.raises(RemoteError, match=r"connection reset; run the same command again"):
        push(dataset, address, WHOLE)
    monkeypatch.undo()
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    assert len(bucket.names("interrupted")) == 3
    with pytest.raises(DatasetError, match=r"contains no dataset\.json"):
        verify(address)
    assert len(sent(push(dataset, address, WHOLE))) == len(sent(plan_push(dataset, f"{bucket.address}/new", WHOLE))) - 3
    assert verify(address).faults == ()


def test_without_the_rights_only_tables_and_manifest_are_sent(dataset: Path, manifest: str, bucket: Bucket) -> None:
    address = f"{bucket.address}/tables"
    with pytest.raises(UsageError, match="Redistribution of clips needs their permission"):
        PushOptions()
    plan = push(dataset, address, PushOptions(manifest=manifest))
    assert plan.notes == ("--manifest: 1 of 3 videos have no web address there (c); others cannot rebuild their clips",)
    names = bucket.names("tables")
    assert not any(name.endswith((".tar", ".html")) for name in names)
    assert (verify(address).faults, verify(address).num_rows, verify(address).num_shards) == ((), 6, 0)
    rows = {row.video_id: row for row in read_manifest(f"{address}/manifest.csv")}
    assert {name: row.url for name, row in rows.items()} == {
        "a": "https://example.org/a?v=1",
        "b": "https://example.org/b",
    }
    assert rows["a"].title == "A, the song"
    with pytest.raises(
        DatasetError,
        match=r"published without its shards; rebuild it: phonics-data build s3://songs/tables/manifest\.csv",
    ):
        open_dataset(address)
    assert sent(push(dataset, address, PushOptions(manifest=manifest))) == []


def test_shards_that_are_there_are_not_left_beside_tables(dataset: Path, manifest: str, bucket: Bucket) -> None:
    address = f"{bucket.address}/mixed"
    push(dataset, address, WHOLE)
    before = bucket.times("mixed")
    with pytest.raises(InputError, match=r"has 3 shards of an earlier push"):
        push(dataset, address, PushOptions(manifest=manifest))
    assert bucket.times("mixed") == before


def test_a_damaged_dataset_is_not_sent(dataset: Path, bucket: Bucket) -> None:
    (dataset / "videos.parquet").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=r"1 faults, first: videos\.parquet: changed .*nothing was sent"):
        push(dataset, f"{bucket.address}/damaged", WHOLE)
    assert bucket.names("damaged") == []


@pytest.mark.parametrize(
    "address",
    [
        "s3://",
        "s3://UPPER/x",
        "s3://key:secret@songs/x",
        "s3://songs//x",
        "https://host/x",
        "hf://user/name",
        "hf://datasets/name",
        "gs://b/x",
    ],
)
def test_other_addresses_are_refused(address: str, dataset: Path) -> None:
    with pytest.raises(OptionError, match="ADDRESS: got") as caught:
        push(dataset, address, WHOLE)
    assert "secret" not in str(caught.value)


def test_a_manifest_without_addresses_is_refused(dataset: Path, bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "local.csv").write_text("video_id,url\na,a.mp4\n")
    with pytest.raises(
        InputError, match="has no web address of the 3 videos of the dataset; 1 are paths on this machine"
    ):
        push(dataset, f"{bucket.address}/x", PushOptions(manifest=str(tmp_path / "local.csv")))


def test_the_command_shows_no_credentials(dataset: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [
        sys.executable,
        "-m",
        "phonics_data",
        "push",
        str(dataset),
        f"{bucket.address}/cli",
        "--i-have-the-rights",
    ]
    environment = {**os.environ, **bucket.environment}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0
    assert done.stdout.startswith("s3://songs/cli: 6 clips, with shards; sent 10 of 10 files, ")
    missing = [*command[:-2], "s3://no-such-bucket/cli", command[-1]]
    failed = subprocess.run(missing, capture_output=True, text=True, check=False, env=environment)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(
        "phonics-data: s3://no-such-bucket/cli: no such bucket; create it first"
    )
    for text in (done.stdout, done.stderr, failed.stderr):
        assert SECRET_KEY not in text
        assert bucket.environment["AWS_ACCESS_KEY_ID"] not in text


def test_a_file_that_changes_while_it_is_sent_is_an_error(
    dataset: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    shard = dataset / "train-000000.tar"
    whole, put_file = shard.read_bytes(), s3fs.S3FileSystem.put_file

    def put_changed(self: object, path: str, *arguments: object, **more: object) -> object:
        if Path(path) == shard:
            shard.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
        return put_file(self, path, *arguments, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "put_file", put_changed)
    with pytest.raises(RemoteError, match=r"train-000000\.tar: changed while it was sent"):
        push(dataset, f"{bucket.address}/changed", WHOLE)
    assert "train-000000.tar" not in bucket.names("changed")
    monkeypatch.setattr(s3fs.S3FileSystem, "put_file", put_file)
    shard.write_bytes(whole)
    push(dataset, f"{bucket.address}/changed", WHOLE)
    assert verify(f"{bucket.address}/changed").faults == ()


def test_an_endpoint_without_scheme_is_named(dataset: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "user:geheimwort@127.0.0.1:9000")
    with pytest.raises(RemoteError, match="needs http:// or https://") as caught:
        push(dataset, "s3://songs/no-endpoint", WHOLE)
    assert "geheimwort" not in str(caught.value)


def test_texts_of_a_published_manifest_have_no_secrets_and_folders(
    dataset: Path, bucket: Bucket, tmp_path: Path
) -> None:
    ids = sorted(set(load_metadata(dataset).video_id))
    manifest = tmp_path / "m.csv"
    rows = [
        f"{one},https://h.org/{one}?pw=geheim,from /home/me/songs/a.mp4,see https://u:geheim@h.org/x" for one in ids
    ]
    manifest.write_text("\n".join(["video_id,url,title,note", *rows]) + "\n")
    push(dataset, f"{bucket.address}/texts", PushOptions(manifest=str(manifest)))
    text = bucket.client.get_object(Bucket="songs", Key="texts/manifest.csv")["Body"].read().decode()
    assert "geheim" not in text
    assert "/home" not in text
    assert "from a.mp4" in text
    assert "see https://h.org/x" in text
