"""Models are sent to a local Hub by its real client, by command and by the mixin, and give the same videos when they are read from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import cssgan
from cssgan.errors import CheckpointError
from cssgan.inference.export import LoadedGenerator, load_pretrained
from cssgan.inference.hub import plan_push
from phonics_data.errors import OptionError, RemoteError
from tests.fake_hub import TOKEN, FakeHub

# The client of this process passes httpx an argument that httpx deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed (extra cloud)")
    with FakeHub() as one, one.used(monkeypatch, tmp_path / "hub-cache"):
        yield one


def video(model: LoadedGenerator) -> torch.Tensor:
    rng = np.random.default_rng(1)
    image_BCHW = torch.zeros(1, 3, 64, 64)
    audio_N = rng.uniform(-0.1, 0.1, 8000).astype(np.float32)
    mels_BTMU = torch.from_numpy(model.audio_to_mels(audio_N, 16_000, 8, model.frame_rate))[None]
    return model.generate(image_BCHW, mels_BTMU, torch.tensor([2]))


def run(*arguments: str, hub: FakeHub, cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`cssgan` in a process that has nothing but the variables of its user."""
    command = [sys.executable, "-m", "cssgan", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **hub.environment(cache), **environment},
    )


def test_the_command_sends_a_model_that_others_load(hub: FakeHub, tmp_path: Path) -> None:
    dry = run("push", "rendered-64", "hf://me/letters-64", "--dry-run", hub=hub, cache=tmp_path / "cache")
    assert "would send 3 of 3 files" in dry.stdout, dry.stderr
    assert hub.repositories == {}
    done = run("push", "rendered-64", "hf://me/letters-64", "--private", hub=hub, cache=tmp_path / "cache")
    assert "hf://me/letters-64: licence cc-by-sa-4.0; sent 3 of 3 files" in done.stdout, done.stderr
    repository = hub.repositories["models/me/letters-64"]
    assert repository.private
    assert sorted(repository.files) == ["README.md", "config.json", "model.safetensors"]
    assert 'load_pretrained("hf://me/letters-64")' in repository.files["README.md"].decode()
    wrong = run(
        "push", "rendered-64", "hf://me/x", hub=hub, cache=tmp_path / "cache", HF_TOKEN="hf_wrongWrongWrongWrong"
    )
    assert wrong.returncode == 1
    for text in (done.stdout, done.stderr, wrong.stdout, wrong.stderr):
        assert TOKEN not in text
        assert "hf_wrong" not in text
        assert "signature" not in text  # of the address of an upload
    expected = video(load_pretrained("rendered-64"))
    assert torch.equal(video(load_pretrained("hf://me/letters-64")), expected)
    assert torch.equal(video(cssgan.HubGenerator.from_pretrained("me/letters-64")), expected)


def test_the_mixin_saves_and_sends_the_same_files(hub: FakeHub, tmp_path: Path) -> None:
    from cssgan.pretrained.shipped import FOLDER

    folder = FOLDER / "rendered-64"
    model = cssgan.HubGenerator.from_pretrained(folder)
    model.save_pretrained(tmp_path / "copy")
    for name in ("model.safetensors", "config.json", "README.md"):
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes(), name
    model.push_to_hub("me/copy")
    assert hub.repositories["models/me/copy"].files["model.safetensors"] == (folder / "model.safetensors").read_bytes()


def test_changed_weights_are_saved_with_their_checksum_and_a_note(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="huggingface-hub is not installed (extra cloud)")
    from cssgan.pretrained.shipped import FOLDER

    model = cssgan.HubGenerator.from_pretrained(FOLDER / "rendered-64")
    before = video(model)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(1.5)
    model.save_pretrained(tmp_path / "changed")
    again = cssgan.HubGenerator.from_pretrained(tmp_path / "changed")
    assert not torch.equal(video(again), before)
    assert "weights were changed after this card was written" in (tmp_path / "changed" / "README.md").read_text()
    record = json.loads((tmp_path / "changed" / "config.json").read_text())
    assert record["sha256"] != model.record["sha256"]


def test_what_cannot_be_loaded_is_refused(hub: FakeHub) -> None:
    with pytest.raises(RemoteError, match="hf://me/nothing: there is no such repository, or the token may not see it"):
        load_pretrained("hf://me/nothing")
    with pytest.raises(OptionError, match="hf://USER/NAME"):
        load_pretrained("s3://bucket/model")
    run_of_hub = run("push", "rendered-64", "hf://me/broken", hub=hub, cache=Path("/nonexistent"))
    assert run_of_hub.returncode == 0, run_of_hub.stderr
    hub.repositories["models/me/broken"].files["model.safetensors"] += b"x"
    with pytest.raises(CheckpointError, match="truncated or modified"):
        load_pretrained("hf://me/broken")


def test_texts_for_the_card_of_an_export_are_refused(hub: FakeHub, tmp_path: Path) -> None:
    about = tmp_path / "about.md"
    about.write_text("license: mit\n\n## Data\n")
    with pytest.raises(OptionError, match=r"--about: got .*about\.md.*allowed: for a run only"):
        plan_push("rendered-64", "hf://me/letters", about=about)
