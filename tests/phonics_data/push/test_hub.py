"""Datasets are sent to a local Hub by its real client, in one commit, and read from there."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from phonics_data.dataset.reader import load_metadata, open_dataset
from phonics_data.errors import RemoteError
from phonics_data.push import PushOptions, push
from phonics_data.report.verify import verify
from tests.fake_hub import TOKEN, FakeHub

# The client of this process passes httpx an argument that httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
WHOLE = PushOptions(has_rights=True)
ADDRESS = "hf://datasets/me/letters"


def test_a_whole_dataset_is_one_commit_and_is_read_back(dataset: Path, hub: FakeHub) -> None:
    push(dataset, ADDRESS, PushOptions(has_rights=True, private=True))
    repository = hub.repositories["datasets/me/letters"]
    assert repository.private
    assert len(repository.commits) == 2
    assert "report.html" not in repository.files
    assert verify(ADDRESS).faults == ()
    assert len(list(open_dataset(ADDRESS, split="train"))) == 2
    push(dataset, ADDRESS, WHOLE)
    assert len(repository.commits) == 2


def test_what_has_arrived_is_not_sent_again(dataset: Path, hub: FakeHub) -> None:
    hub.max_uploads = 2
    with pytest.raises(RemoteError, match=r"403.*run `hf auth login` with a token that may do this"):
        push(dataset, ADDRESS, WHOLE)
    assert hub.repositories["datasets/me/letters"].files == {}  # no half dataset is visible
    first = list(hub.uploads)
    hub.max_uploads = None
    push(dataset, ADDRESS, WHOLE)
    assert hub.uploads[:2] == first
    assert len(set(hub.uploads)) == len(hub.uploads) == 6  # three shards, three tables
    assert verify(ADDRESS).faults == ()


def test_a_changed_dataset_replaces_the_old_one(dataset: Path, manifest: str, hub: FakeHub) -> None:
    push(dataset, ADDRESS, WHOLE)
    files = hub.repositories["datasets/me/letters"].files
    files["train-000009.tar"] = b"of an earlier dataset"
    files["my-notes.txt"] = b"of the user"
    plan = push(dataset, ADDRESS, PushOptions(has_rights=True, manifest=manifest))
    actions = {step.name: step.action for step in plan.steps}
    assert [name for name, action in actions.items() if action == "send"] == [
        "manifest.csv",
        "SHA256SUMS",
        "dataset.json",
    ]
    assert actions["train-000009.tar"] == "delete"
    files = hub.repositories["datasets/me/letters"].files
    assert "train-000009.tar" not in files
    assert files["my-notes.txt"] == b"of the user"
    assert verify(ADDRESS).faults == ()


def test_the_command_sends_tables_and_shows_no_token(
    dataset: Path, manifest: str, hub: FakeHub, tmp_path: Path
) -> None:
    """The client in another process, which has nothing but the variables of its user."""
    command = [sys.executable, "-m", "phonics_data", "push", str(dataset), ADDRESS, "--manifest", manifest]
    environment = {**os.environ, **hub.environment(tmp_path / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "6 clips, tables and manifest only; sent 8 of 8 files" in done.stdout
    card = hub.repositories["datasets/me/letters"].files["README.md"].decode()
    assert "phonics-data build" in card
    wrong = "hf_wrongWrongWrongWrong"
    failed = subprocess.run(
        [*command[:5], "hf://datasets/me/other", *command[6:]],
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "HF_TOKEN": wrong},
    )
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(
        "phonics-data: hf://datasets/me/other: Client error '401 Unauthorized'"
    )
    for text in (done.stdout, done.stderr, failed.stdout, failed.stderr):
        assert TOKEN not in text
        assert wrong not in text
    assert not any(TOKEN in path.read_text(errors="ignore") for path in tmp_path.rglob("*") if path.is_file())


READ = """
import json, datasets
shards = datasets.load_dataset("me/letters", streaming=True)
print(json.dumps({split: [[row["__key__"], row["meta.json"]["label"], list(row["frames.npy"].shape)] for row in rows] for split, rows in shards.items()}))
"""


def test_the_datasets_library_streams_the_shards(dataset: Path, hub: FakeHub, tmp_path: Path) -> None:
    for package in ("datasets", "torchcodec"):  # the second decodes sound
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    push(dataset, ADDRESS, WHOLE)
    environment = {**os.environ, **hub.environment(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=True, env=environment)
    expected = {
        split: [
            [sample.key, sample.label, list(sample.frames_LHWC.shape)] for sample in open_dataset(dataset, split=split)
        ]
        for split in ("train", "validation", "test")
    }
    assert json.loads(done.stdout) == expected


def test_the_card_without_shards_shows_the_table(dataset: Path, manifest: str, hub: FakeHub, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed (extra cloud-test)")
    push(dataset, ADDRESS, PushOptions(manifest=manifest))
    for name, content in hub.repositories["datasets/me/letters"].files.items():
        (tmp_path / "copy").mkdir(exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    rows = datasets.load_dataset(str(tmp_path / "copy"), cache_dir=str(tmp_path / "cache"))["clips"]
    assert sorted(rows["sample_id"]) == sorted(load_metadata(dataset).sample_id)
