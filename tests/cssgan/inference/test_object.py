"""Generation with an object: picture files, pairs, exports, and models that take no object."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from cssgan.cli.app import app
from cssgan.data.object_pictures import fit, to_input
from cssgan.errors import ArrayError
from cssgan.inference.batch import generate_pairs, read_pairs
from cssgan.inference.export import LoadedGenerator, export, load_generator
from cssgan.inference.generate import generate_video
from cssgan.storage.media_files import MAX_OBJECT_SIDE, read_object, read_video
from phonics_data.errors import InputError
from tests.cssgan.inference.test_generate import conditions, save_run, write_audio

WITH_OBJECT = ("model.object_condition=true", "model.word_dim=8", "model.g_output=compose")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("object") / "run", *WITH_OBJECT)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A start image, two pictures of objects, and audio."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "card.png")
    save_disc(tmp_path / "red.png", (255, 0, 0))
    save_disc(tmp_path / "blue.png", (0, 0, 255))
    audio = write_audio(tmp_path / "audio.wav", 1.0)
    return {name: tmp_path / f"{name}.png" for name in ("card", "red", "blue")} | {"audio": audio}


def save_disc(path: Path, colour: tuple[int, int, int], background: tuple[int, int, int] = (250, 250, 250)) -> None:
    """A disc with a white hole on a background without transparency."""
    y, x = np.mgrid[:40, :40] - 19.5
    pixels = np.full((40, 40, 3), background, np.uint8)
    pixels[x**2 + y**2 < 15**2] = colour
    pixels[x**2 + y**2 < 5**2] = background
    Image.fromarray(pixels).save(path)


def make(loaded: LoadedGenerator, inputs: dict[str, Path], out: Path, **options: Path | str) -> NDArray[np.int16]:
    video = generate_video(
        loaded, image=inputs["card"], audio=inputs["audio"], label="L", out=out, **options,  # type: ignore[arg-type]
    )  # fmt: skip
    return read_video(video.path, 64, 16_000).frames_THWC.astype(np.int16)


def test_picture_and_word_change_the_video(run: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    loaded = load_generator(run)
    placer = loaded.network.get_submodule("object_placer.out")
    assert isinstance(placer, torch.nn.Linear)
    torch.nn.init.zeros_(placer.weight)  # random weights could place the picture outside the frame, or hide it
    placer.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 5.0]))
    videos = [
        make(loaded, inputs, tmp_path / f"{n}.mp4", **options)
        for n, options in enumerate(({}, {"object_picture": inputs["red"]}, {"object_picture": inputs["blue"]}))
    ]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert int(np.abs(videos[a] - videos[b]).max()) > 20, (a, b)
    _, word = loaded.object_inputs([None] * 2, ["lion", ""])
    with_word, without = loaded.generate(*conditions(8), word_BE=word), loaded.generate(*conditions(8))
    assert not torch.equal(with_word[0], without[0])
    assert torch.equal(with_word[1], without[1])


def test_a_tensor_of_zeros_is_no_object(run: Path) -> None:
    loaded = load_generator(run)
    empty = loaded.generate(*conditions(20), object_BCHW=torch.zeros(2, 4, 8, 8), word_BE=torch.zeros(2, 8))
    assert torch.equal(loaded.generate(*conditions(20)), empty)


def test_batch_size_does_not_change_videos_with_objects(run: Path) -> None:
    loaded = load_generator(run)
    torch.manual_seed(3)
    picture = torch.rand(2, 4, 8, 8)
    videos = [loaded.generate(*conditions(16), object_BCHW=picture, max_batch=size) for size in (1, 2)]
    torch.testing.assert_close(*videos, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("picture", "word", "message"),
    [
        (torch.zeros(2, 4, 16, 16), None, r"object_BCHW: got .*allowed: torch.float32 \(2, 4, 8, 8\)"),
        (torch.full((2, 4, 8, 8), -0.5), None, r"object_BCHW: got alpha from -0.5, allowed: alpha in \[0, 1\]"),
        (torch.full((2, 4, 8, 8), 2.0), None, r"object_BCHW: got values from 2 to 2"),
        (None, torch.zeros(2, 7), r"word_BE: got .*allowed: torch.float32 \(2, 8\)"),
    ],
)
def test_wrong_tensors_are_refused(
    run: Path, picture: torch.Tensor | None, word: torch.Tensor | None, message: str
) -> None:
    with pytest.raises(ArrayError, match=message):
        load_generator(run).generate(*conditions(16), object_BCHW=picture, word_BE=word)


def test_a_model_without_the_options_refuses_objects(inputs: dict[str, Path], tmp_path: Path) -> None:
    plain = load_generator(save_run(tmp_path / "plain"))
    with pytest.raises(ArrayError, match=r"None: this model was trained without model.object_condition"):
        plain.generate(*conditions(16), object_BCHW=torch.zeros(2, 4, 8, 8))
    with pytest.raises(ArrayError, match=r"None: this model was trained with model.word_dim=0"):
        plain.generate(*conditions(16), word_BE=torch.zeros(2, 8))
    with pytest.raises(InputError, match=r"takes no object picture; leave it out, or train with --set"):
        make(plain, inputs, tmp_path / "x.mp4", object_picture=inputs["red"])
    with pytest.raises(InputError, match=r"takes no object word; leave it out, or train with --set model.word_dim"):
        make(plain, inputs, tmp_path / "x.mp4", object_word="lion")
    assert not (tmp_path / "x.mp4").exists()


def test_the_command_generates_with_an_object_and_refuses_it_in_one_line(
    run: Path, inputs: dict[str, Path], tmp_path: Path
) -> None:
    plain = save_run(tmp_path / "plain")

    def command(model: Path, *options: str) -> tuple[int, str]:
        words = ["generate", "--run", str(model), "--image", str(inputs["card"]), "--audio", str(inputs["audio"])]
        words += ["--label", "L", "--out", str(tmp_path / "out.mp4"), "--device", "cpu", *options]
        found = CliRunner().invoke(app, words)
        return found.exit_code, found.output if found.exception is None else str(found.exception)

    code, _ = command(run, "--object", str(inputs["red"]), "--object-word", "lion")
    assert code == 0
    assert (tmp_path / "out.mp4").is_file()
    code, output = command(plain, "--object", str(inputs["red"]))
    assert code != 0
    assert "takes no object picture" in output


def test_pairs_have_columns_for_the_object(run: Path, inputs: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text(
        "image,audio,label,out,object,object_word\n"
        "card.png,audio.wav,L,none,,\n"
        "card.png,audio.wav,L,red,red.png,\n"
        "card.png,audio.wav,L,word,,lion\n"
        "card.png,audio.wav,L,gone,gone.png,\n"
    )
    loaded = load_generator(run)

    result = generate_pairs(loaded, read_pairs(table), tmp_path / "out")

    assert [path.name for path in result.videos] == ["none.mp4", "red.mp4", "word.mp4"]
    assert [(one.video, "gone.png: no such image" in one.reason) for one in result.rejected] == [("gone.mp4", True)]
    with (tmp_path / "out" / "videos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(Path(row["object"]).name, row["object_word"]) for row in rows] == [("", ""), ("red.png", ""), ("", "lion")]
    alone = make(loaded, inputs, tmp_path / "alone.mp4", object_picture=inputs["red"])
    batched = read_video(tmp_path / "out" / "red.mp4", 64, 16_000).frames_THWC.astype(np.int16)
    assert int(np.abs(alone - batched).max()) <= 3
    save_disc(inputs["red"], (0, 255, 0))
    assert generate_pairs(loaded, read_pairs(table), tmp_path / "out").num_reused == 2


def test_an_export_takes_objects_and_its_card_says_so(run: Path, tmp_path: Path) -> None:
    folder = export(run, tmp_path / "export")
    plain = export(save_run(tmp_path / "plain"), tmp_path / "plain-export")
    picture = to_input(torch.from_numpy(np.stack([fit(np.full((4, 4, 4), 255, np.uint8), 8)] * 2)))

    videos = [load_generator(one).generate(*conditions(16), object_BCHW=picture) for one in (run, folder)]

    torch.testing.assert_close(*videos)
    assert "| optional inputs | picture of the object, 8x8 RGBA" in (folder / "README.md").read_text()
    assert "optional inputs" not in (plain / "README.md").read_text()


def test_the_alpha_of_a_picture_is_kept(tmp_path: Path) -> None:
    picture = np.zeros((6, 8, 4), np.uint8)
    picture[2:4, 2:6] = (10, 20, 30, 128)
    Image.fromarray(picture).save(tmp_path / "alpha.png")
    assert np.array_equal(read_object(tmp_path / "alpha.png")[..., 3], picture[..., 3])


def test_a_border_of_one_colour_is_background_and_a_hole_is_not(tmp_path: Path) -> None:
    save_disc(tmp_path / "disc.jpg", (200, 0, 0))
    alpha = read_object(tmp_path / "disc.jpg")[..., 3]
    assert (alpha[0] == 0).all()
    assert alpha[20, 20] == 255
    assert 0.4 < (alpha > 0).mean() < 0.55


def test_a_picture_without_a_border_is_the_object_as_a_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    assert (read_object(tmp_path / "photo.png")[..., 3] == 255).all()


def test_unusable_object_pictures_are_refused_and_large_ones_scaled(tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), "white").save(tmp_path / "white.png")
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGBA", (2000, 1000), (255, 0, 0, 200)).save(tmp_path / "large.png")
    for name, message in (
        ("white", "shows no object"),
        ("text", "cannot be read as an image"),
        ("gone", "no such image"),
    ):
        with pytest.raises(InputError, match=f"{name}.png: {message}"):
            read_object(tmp_path / f"{name}.png")
    assert read_object(tmp_path / "large.png").shape == (MAX_OBJECT_SIDE // 2, MAX_OBJECT_SIDE, 4)
