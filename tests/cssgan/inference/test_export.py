"""Export and loading of generators; videos of many input pairs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

import cssgan
from cssgan.errors import ArrayError, CheckpointError
from cssgan.inference import batch, export
from cssgan.inference.generate import generate_video
from phonics_data.errors import InputError
from tests.cssgan.inference.test_generate import conditions, save_run, write_audio

pytestmark = pytest.mark.dependencies


def test_an_export_equals_its_run(tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", "model.z_dim=3")
    (run / "evaluation.json").write_text(
        json.dumps({"split": "test", "num_evaluated": 9, "metrics": {"l1": {"value": 0.125}, "fid": {"value": None}}})
    )
    out = cssgan.export(run, tmp_path / "exported")

    model = cssgan.load_pretrained(out)

    assert isinstance(model, torch.nn.Module)
    assert torch.equal(
        model.generate(*conditions(21), seed=3), export.load_generator(run).generate(*conditions(21), seed=3)
    )
    assert model(*conditions(21)).shape == (2, 3, 21, 16, 16)
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    card = (out / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: cssgan\n")
    assert "| l1 | 0.125 |" in card
    assert "fid" not in card
    assert export.load_generator(out).label_set.names[3] == "D"  # commands accept an export instead of a run


def test_gradients_flow_through_the_module(tmp_path: Path) -> None:
    model = cssgan.load_pretrained(cssgan.export(save_run(tmp_path / "run"), tmp_path / "out"))
    image, mels, label = conditions(16)

    model(image.requires_grad_(), mels.requires_grad_(), label).sum().backward()

    assert image.grad is not None
    assert float(mels.grad.abs().sum()) > 0  # type: ignore[union-attr]


def test_invalid_exports_are_errors_and_other_files_are_kept(tmp_path: Path) -> None:
    out = cssgan.export(save_run(tmp_path / "run"), tmp_path / "out", which="ema")
    assert cssgan.export(tmp_path / "run", out) == out  # an earlier export is replaced
    with pytest.raises(CheckpointError, match="contains no exported model"):
        cssgan.load_pretrained(tmp_path / "nowhere")
    with pytest.raises(InputError, match="contains files that are not an export"):
        cssgan.export(tmp_path / "run", tmp_path)
    record = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**record, "format": 99}))
    with pytest.raises(CheckpointError, match="export format 99, supported: 1"):
        cssgan.load_pretrained(out)
    (out / "config.json").write_text(json.dumps({**record, "config": {"model": {"width": 3}}}))
    with pytest.raises(CheckpointError, match="not a valid export"):
        cssgan.load_pretrained(out)
    (out / "config.json").write_text(json.dumps(record))
    (out / "model.safetensors").write_bytes((out / "model.safetensors").read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated or modified"):
        cssgan.load_pretrained(out)


def test_a_failed_export_keeps_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = cssgan.export(save_run(tmp_path / "run"), tmp_path / "out")
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name.startswith(".out."):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="out: cannot be written"):
        cssgan.export(tmp_path / "run", out)

    cssgan.load_pretrained(out)
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == ["out"]


def test_importing_cssgan_loads_no_heavy_module() -> None:
    code = "import sys, cssgan; assert not {'torch', 'numpy', 'av'} & sys.modules.keys(); print(cssgan.__all__)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "load_pretrained" in done.stdout
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cssgan.nothing  # noqa: B018


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images with audio files of different lengths, in folders named after their class."""
    for number, (label, seconds) in enumerate((("A", 0.4), ("A", 1.1), ("B", 0.7))):
        parent = tmp_path / "pairs" / label
        parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(parent / f"n{number}.png")
        write_audio(parent / f"n{number}.wav", seconds)
    return tmp_path / "pairs"


def test_a_video_does_not_depend_on_its_batch(tmp_path: Path, folder: Path) -> None:
    model = export.load_generator(save_run(tmp_path / "run", "model.z_dim=2"))
    pair_list = batch.read_pairs(folder, seed=7)
    pairs = pair_list.pairs
    assert [(pair.label, pair.out) for pair in pairs] == [("A", "A-n0.mp4"), ("A", "A-n1.mp4"), ("B", "B-n2.mp4")]

    result = batch.generate_pairs(model, pair_list, tmp_path / "out", max_batch=2)

    assert not result.rejected
    single = generate_video(
        model, image=pairs[0].image, audio=pairs[0].audio, label="A", out=tmp_path / "a.mp4", seed=7
    )
    assert len(frames(tmp_path / "out/A-n0.mp4")) == single.num_frames == 10
    difference = frames(tmp_path / "out/A-n0.mp4").astype(int) - frames(single.path)
    assert np.abs(difference).mean() < 1.0  # the noise of a seed is the same in any batch
    rows = list(csv.DictReader((tmp_path / "out/videos.csv").read_text().splitlines()))
    assert [(row["video"], row["num_frames"], row["seed"]) for row in rows] == [
        ("A-n0.mp4", "10", "7"),
        ("A-n1.mp4", "28", "7"),
        ("B-n2.mp4", "18", "7"),
    ]


def test_unusable_pairs_are_rejected_and_the_others_generated(tmp_path: Path, folder: Path) -> None:
    table = folder / "pairs.csv"
    table.write_text(
        "image,audio,label,out,seed\nA/n0.png,A/n0.wav,A,,1\nA/n0.png,gone.wav,A,,\nB/n2.png,B/n2.wav,ZZ,z,\n"
    )
    model = export.load_generator(save_run(tmp_path / "run"))

    result = batch.generate_pairs(model, batch.read_pairs(table), tmp_path / "out")

    assert [path.name for path in result.videos] == ["n0-n0.mp4"]
    reasons = [row["reason"] for row in csv.DictReader((tmp_path / "out/rejections.csv").read_text().splitlines())]
    assert "gone.wav: no such audio file" in reasons[0]
    assert "label 'ZZ' is not in label set" in reasons[1]


def test_a_repeated_call_generates_only_new_or_missing_videos(tmp_path: Path, folder: Path) -> None:
    model, out = export.load_generator(save_run(tmp_path / "run")), tmp_path / "out"

    def times() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in out.glob("*.mp4")}

    def call() -> tuple[int, list[str]]:
        before = times()
        result = batch.generate_pairs(model, batch.read_pairs(folder), out, max_batch=1)
        assert [path.name for path in result.videos] == ["A-n0.mp4", "A-n1.mp4", "B-n2.mp4"]
        assert (out / "videos.csv").read_text().count("mp4") == 3
        return result.num_reused, sorted(name for name, when in times().items() if before.get(name) != when)

    assert call() == (0, ["A-n0.mp4", "A-n1.mp4", "B-n2.mp4"])
    assert call() == (3, [])
    (out / "A-n1.mp4").unlink()
    assert call() == (2, ["A-n1.mp4"])
    write_audio(folder / "B/n2.wav", 0.9)
    assert call() == (2, ["B-n2.mp4"])
    with torch.no_grad():
        next(model.network.parameters()).add_(0.1)
    assert call() == (0, ["A-n0.mp4", "A-n1.mp4", "B-n2.mp4"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,sound\na,b\n", "columns are image, sound; required, once each: image, audio"),
        ("image,audio,label\n", "contains no pairs"),
        ("image,audio\na.png,a\0.wav\n", "a NUL character in line 2; not a text file"),
        ("image,audio\n" + "x" * 64_000_000, "more than 64,000,000 bytes"),
    ],
)
def test_invalid_csv_files_are_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)

    with pytest.raises(InputError) as caught:
        batch.read_pairs(tmp_path / "pairs.csv")

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.png,b.wav,,,", "line 3: no class; give --label"),
        ("b.png,b.wav,A,,x", "line 3: seed 'x', allowed: integers"),
        ("b.png,b.wav,A,../x,", "is outside the output folder"),
        ("b.png,b.wav,A,a-a,", "an earlier video is called a-a.mp4"),
        ("b.png,b.wav,A,./a-a,", "an earlier video is called a-a.mp4"),
        ("b.png,b.wav,A,A-A.mp4,", "an earlier video is called A-A.mp4"),
        ("b.png,b.wav,A,a-a.mp4/x,", "an earlier video is called a-a.mp4/x.mp4"),
        (f"b.png,b.wav,A,{'x' * 252},", "line 3: out has more than 255 bytes"),
        ("b.png,b.wav,A,,99999999999999999999", "allowed: integers from 0 to 9223372036854775807"),
        ("b.png,b.wav,A,,,,more", "line 3: other number of columns than the first line"),
        ("b.png", "line 3: other number of columns than the first line"),
        (",b.wav,A,,", "or empty image or audio"),
    ],
)
def test_invalid_rows_are_rejected_and_the_others_are_kept(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "pairs.csv").write_text(f"image,audio,label,out,seed\na.png,a.wav,A,,\n{row}\nc.png,c.wav,B,,7\n")

    pair_list = batch.read_pairs(tmp_path / "pairs.csv")

    assert [(pair.out, pair.label, pair.seed) for pair in pair_list.pairs] == [("a-a.mp4", "A", 0), ("c-c.mp4", "B", 7)]
    (rejected,) = pair_list.rejected
    assert message in rejected.reason


def test_upper_case_suffixes_in_a_folder_of_pairs_are_read(folder: Path) -> None:
    (folder / "B/n2.wav").rename(folder / "B/n2.WAV")
    (folder / "A/n0.png").rename(folder / "A/n0.PNG")
    pair_list = batch.read_pairs(folder)
    assert (len(pair_list.pairs), pair_list.rejected) == (3, ())


def test_an_image_without_audio_is_rejected(tmp_path: Path, folder: Path) -> None:
    (folder / "B/n2.wav").unlink()
    pair_list = batch.read_pairs(folder)
    assert len(pair_list.pairs) == 2
    assert "n2.png: 0 audio files of the same name" in pair_list.rejected[0].reason
    with pytest.raises(InputError, match="no such file; expected a CSV"):
        batch.read_pairs(tmp_path / "nowhere.csv")

    result = batch.generate_pairs(export.load_generator(save_run(tmp_path / "run")), pair_list, tmp_path / "out")

    assert [path.name for path in result.videos] == ["A-n0.mp4", "A-n1.mp4"]
    (line,) = csv.DictReader((tmp_path / "out/rejections.csv").read_text().splitlines())
    assert line["video"] == "B-n2.mp4"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_BCHW": torch.zeros(1, 3, 16, 16, dtype=torch.uint8)}, r"image_BCHW: got torch.uint8 \(1, 3, 16, 16\)"),
        (
            {"image_BCHW": torch.zeros(1, 3, 8, 8)},
            r"got torch.float32 \(1, 3, 8, 8\), allowed: torch.float32 \(1, 3, 16, 16\)",
        ),
        ({"image_BCHW": torch.full((1, 3, 16, 16), 255.0)}, r"image_BCHW: got values from 255 to 255, .* in \[-1, 1\]"),
        ({"image_BCHW": torch.full((1, 3, 16, 16), torch.nan)}, "image_BCHW: got values from nan to nan"),
        ({"mels_BTMU": torch.zeros(1, 0, 64, 20)}, r"mels_BTMU: got shape \(1, 0, 64, 20\), allowed: .* T >= 1"),
        (
            {"mels_BTMU": torch.zeros(2, 5, 64, 20)},
            r"mels_BTMU: got torch.float32 \(2, 5, 64, 20\), allowed: .*\(1, 5,",
        ),
        ({"mels_BTMU": torch.full((1, 5, 64, 20), -16.0)}, r"values from -16 to -16, .*model\.standardize"),
        ({"label_B": torch.tensor([26])}, r"label_B: got 26 to 26, allowed: 0 to 25 \(model\.label_set\.index\)"),
        ({"label_B": torch.tensor([0.0])}, r"label_B: got torch.float32 \(1,\), allowed: torch.int64 \(1,\)"),
        ({"seed": 2**63}, r"seed: got 9223372036854775808, allowed: integers from 0 to 2\^63 - 1"),
        ({"label_B": [0]}, "label_B: got a list, allowed: a tensor"),
        ({"label_B": torch.tensor(0)}, r"label_B: got shape \(\), allowed: axes B with B >= 1"),
        ({"seed": [1, 2]}, r"seed: got 2 seeds, allowed: one seed, or one for each of the 1 videos"),
    ],
)
def test_invalid_tensors_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    model = export.load_generator(save_run(tmp_path))
    arguments = {
        "image_BCHW": torch.zeros(1, 3, 16, 16),
        "mels_BTMU": torch.zeros(1, 5, 64, 20),
        "label_B": torch.tensor([0]),
    }
    assert model.generate(**arguments).shape == (1, 3, 5, 16, 16)

    with pytest.raises(ArrayError, match=message):
        model.generate(**(arguments | changes))


def test_values_slightly_above_1_and_numpy_seeds_are_accepted(tmp_path: Path) -> None:
    model = export.load_generator(save_run(tmp_path, "model.z_dim=2"))
    white, mels, label = torch.full((1, 3, 16, 16), 1.0000002), torch.zeros(1, 5, 64, 20), torch.tensor([0])

    assert torch.equal(model.generate(white, mels, label, seed=np.int64(3)), model.generate(white, mels, label, seed=3))  # pyright: ignore[reportArgumentType]


def test_a_run_with_damaged_config_can_be_loaded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save_run(tmp_path)
    (tmp_path / "config.json").write_text('{"config": [], "train_shards": 1}')

    assert export.load_generator(tmp_path).progress.num_steps == 5
    assert "config.json: not the configuration of a run" in caplog.text


def test_a_run_is_not_an_export(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is a run, not an export; run `cssgan export --run "):
        export.load_pretrained(save_run(tmp_path / "run"))
