"""Models that come with the package: their files, their names, and a video from one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import cssgan
from cssgan.cli import app
from cssgan.errors import CheckpointError
from cssgan.pretrained.exported import read_export
from cssgan.pretrained.shipped import FOLDER, MAX_BYTES, model_folder, shipped_models
from cssgan.storage import media_files
from phonics_data.errors import InputError
from tests.cssgan.inference.test_generate import conditions, save_run, write_audio

pytestmark = pytest.mark.dependencies


def cssgan_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["cssgan", *arguments])
    with pytest.raises(SystemExit) as end:
        app.main()
    return int(end.value.code or 0)


@pytest.mark.parametrize("name", shipped_models())
def test_a_shipped_model_is_small_complete_and_described(name: str) -> None:
    folder = model_folder(name)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= MAX_BYTES
    card = (folder / "README.md").read_text()
    for heading in ("## Data", "## Metrics", "## Intended use", "## Limits", "OpenMoji", "espeak-ng", "CC BY-SA 4.0"):
        assert heading in card, heading
    assert read_export(folder).config.data.size == int(name.rpartition("-")[2])
    assert "/" not in json.loads((folder / "config.json").read_text()).get("init", {"source": ""})["source"]


def test_the_known_names() -> None:
    assert "rendered-64" in shipped_models()


def test_generate_with_a_shipped_model_gives_a_video_with_its_sound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (90, 60), "orange").save("card.png")
    write_audio(Path("l.wav"), 0.8)

    code = cssgan_command(
        monkeypatch,
        *(
            "generate",
            "--model",
            "rendered-64",
            "--image",
            "card.png",
            "--audio",
            "l.wav",
            "--label",
            "L",
            "--out",
            "out.mp4",
        ),
    )

    assert code == 0
    model = cssgan.load_pretrained("rendered-64")
    info = media_files.probe(Path("out.mp4"))
    assert (info.width, info.height, info.video_codec, info.audio_codec) == (256, 256, "h264", "aac")
    assert info.seconds == pytest.approx(0.8, abs=0.1)
    video = media_files.read_video(Path("out.mp4"), 64, 16_000)
    assert len(video.frames_THWC) == round(0.8 * model.frame_rate)
    assert np.abs(video.audio_N).mean() > 0.01  # type: ignore[arg-type]


def test_unknown_names_list_the_known_ones(monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"rendered-65: .* comes with the package, which has: rendered-64"):
        cssgan.load_pretrained("rendered-65")
    with pytest.raises(CheckpointError, match="which has: rendered-64"):
        cssgan.load_generator("rendered-65")
    assert cssgan_command(monkeypatch, "evaluate", "--run", "rendered-64", "--shards", "d") == 2
    assert "--out: got None, allowed: a file for the report" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["./rendered-64", "rendered-64/"])
def test_a_path_is_no_name(monkeypatch, capsys, tmp_path: Path, model: str) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("--image", "a.png", "--audio", "a.wav", "--label", "L", "--out", "a.mp4")

    assert cssgan_command(monkeypatch, "generate", "--model", model, *words) == 1

    assert f"{model}: contains no exported model or run, because there is no such folder" in capsys.readouterr().err


def test_a_folder_takes_precedence_over_a_name(monkeypatch, tmp_path: Path) -> None:
    cssgan.export(save_run(tmp_path / "run"), tmp_path / "rendered-64")
    monkeypatch.chdir(tmp_path)

    assert cssgan.load_pretrained("rendered-64").config.data.size == 16
    assert model_folder(FOLDER / "rendered-64") == FOLDER / "rendered-64"


@pytest.mark.parametrize(("stored_as", "tolerance"), [("float16", 0.02), ("bfloat16", 0.2)])
def test_weights_in_half_precision_are_smaller_and_load_as_float32(
    tmp_path: Path, stored_as: str, tolerance: float
) -> None:
    run = save_run(tmp_path / "run")
    whole = cssgan.export(run, tmp_path / "whole")
    half = cssgan.export(run, tmp_path / "half", stored_as=stored_as)  # type: ignore[arg-type]

    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert sizes[1] < 0.75 * sizes[0]
    one, other = cssgan.load_pretrained(whole), cssgan.load_pretrained(half)
    assert {tensor.dtype for tensor in other.network.parameters()} == {torch.float32}
    difference = (one.generate(*conditions(16)) - other.generate(*conditions(16))).abs().mean()
    assert 0 < float(difference) < tolerance
    assert f"stored as {stored_as}" in (half / "README.md").read_text()
    (half / "model.safetensors").write_bytes((whole / "model.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="checksum"):
        cssgan.load_pretrained(half)


def test_weights_beyond_float16_are_refused(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    model = cssgan.load_generator(run)
    from cssgan.inference.export import _stored

    weights = {name: tensor * 1e6 for name, tensor in model.network.state_dict().items() if tensor.is_floating_point()}
    with pytest.raises(InputError, match="does not fit into float16; use --stored-as bfloat16"):
        _stored(weights, "float16")
    assert _stored(weights, "bfloat16").keys() == weights.keys()


def test_the_card_takes_its_sections_and_its_licence_from_a_file(monkeypatch, capsys, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run")
    about, report = tmp_path / "about.md", tmp_path / "report.json"
    about.write_text("license: cc0-1.0\n\n## Data\n\nMade here.\n")
    report.write_text(json.dumps({"split": "test", "metrics": {"l1": {"value": 0.5}}}))
    words = ("export", "--run", str(run), "--out", str(tmp_path / "out"), "--about", str(about))

    assert cssgan_command(monkeypatch, *words, "--evaluation", str(report), "--stored-as", "float16") == 0

    card = (tmp_path / "out/README.md").read_text()
    assert "\nlicense: cc0-1.0\n" in card
    assert "license: cc0-1.0\n\n## Data" not in card
    assert "Made here." in card
    assert "## Limits" not in card
    assert "| l1 | 0.5 |" in card
    assert cssgan_command(monkeypatch, *words, "--evaluation", str(about)) == 1
    assert "not a report of `cssgan evaluate`" in capsys.readouterr().err
    assert cssgan_command(monkeypatch, *words, "--stored-as", "int8") == 2
    assert "allowed: float32, float16, bfloat16" in capsys.readouterr().err
