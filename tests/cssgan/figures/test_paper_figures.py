"""Figures of small runs: positions in the images, equal content of PNG and SVG, invalid inputs."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from PIL import Image

from cssgan.errors import CheckpointError
from cssgan.figures.paper_figures import FigureOptions, make_figures
from cssgan.figures.strips import COLORS, TILE_INCHES, Block, Row, draw, encode, envelope
from phonics_data.errors import DatasetError, OptionError
from tests.cssgan.inference.test_generate import save_run
from tests.cssgan.toy_dataset import make_sample, write_dataset

pytestmark = pytest.mark.dependencies

SVG = "{http://www.w3.org/2000/svg}"


def block(num_frames: int = 32, **changes: Any) -> Block:
    """A real video that is red in frames 16 to 20 and else black, a static blue video, and a click at frame 16."""
    real = np.zeros((num_frames, 8, 8, 3), np.uint8)
    real[15:20, ..., 0] = 255
    still = np.zeros_like(real)
    still[..., 2] = 255
    audio = np.zeros(num_frames * 640, np.float32)
    audio[15 * 640 : 16 * 640] = np.sin(np.arange(640))
    fields: dict[str, Any] = {
        "title": "a title", "rows": [Row(name="real", video_THWC=real), Row(name="model", video_THWC=still)],
        "audio_N": audio, "audio_rate_hz": 16_000, "frame_rate": Fraction(25), "mel_MH": np.zeros((64, 128)),
    }  # fmt: skip
    return Block(**{**fields, **changes})


def near(image: np.ndarray[Any, Any], color: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    return np.abs(image.astype(int) - np.array(color)).sum(axis=2) < 30


def test_frames_are_above_their_times() -> None:
    steps = (1, 8, 16, 32)
    image = np.asarray(Image.open(io.BytesIO(encode(draw([block()], steps), "png"))).convert("RGB"))
    red, black, blue = near(image, (255, 0, 0)), near(image, (0, 0, 0)), near(image, (0, 0, 255))
    tile = TILE_INCHES * 200
    assert 0.8 < red.sum() / tile**2 < 1.0, "one of four real frames is red"
    assert 3.2 < blue.sum() / tile**2 < 4.0, "all four frames of the model are blue"
    assert black.sum() > 2.5 * tile**2
    left = np.flatnonzero(blue.any(axis=0))[0]
    red_at = np.flatnonzero(red.any(axis=0)) - left
    assert red_at[0] == pytest.approx(2 * tile, abs=0.1 * tile), "the red frame is in the third column"
    assert np.flatnonzero(red.any(axis=1))[-1] < np.flatnonzero(blue.any(axis=1))[0], (
        "the real video is above the model"
    )
    below = image[np.flatnonzero(blue.any(axis=1))[-1] + 20 :]
    click = np.flatnonzero(near(below, (0xC3, 0xC8, 0xD0)).sum(axis=0) > 30) - left
    assert click[0] == pytest.approx(4 * tile * 15 / 32, abs=0.1 * tile), "the click is drawn at its time"
    assert click[-1] == pytest.approx(4 * tile * 16 / 32, abs=0.1 * tile)
    grey = tuple(int(COLORS[0][k : k + 2], 16) for k in (1, 3, 5))
    peak = np.flatnonzero(near(below, (grey[0], grey[1], grey[2]))[: int(0.3 * tile)].any(axis=0)) - left
    assert np.abs(peak - 4 * tile * 15 / 32).min() < 0.1 * tile, (
        "the motion of the real video peaks when it becomes red"
    )


def test_svg_has_the_same_content_and_is_reproducible() -> None:
    first, again = (encode(draw([block()], (1, 16)), "svg") for _ in range(2))
    assert first == again
    tree = ElementTree.fromstring(first)
    assert len(list(tree.iter(f"{SVG}image"))) == 4
    assert "a title" in first.decode(), "texts are stored as text"
    with_mel = ElementTree.fromstring(encode(draw([block()], (1, 16), audio_plot="mel"), "svg"))
    assert len(list(with_mel.iter(f"{SVG}image"))) == 5


def test_envelope_keeps_peaks_and_ends_in_silence() -> None:
    audio = np.zeros(1_000, np.float32)
    audio[[100, 900]] = (0.9, -0.8)
    low, high = envelope(audio, 1_000, 50, Fraction(25), bins=20)
    assert (high.argmax(), low.argmin()) == (1, 9)
    assert high.max() == pytest.approx(0.9)
    assert not low[10:].any()
    assert not high[10:].any()


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Path]]:
    root = tmp_path_factory.mktemp("figures")
    samples = [make_sample(seed, num_frames=20 + 4 * (seed % 2)) for seed in range(6)]
    dataset = write_dataset(root / "data", train=samples, num_validation=0)
    (dataset / "train-000000.tar").rename(dataset / "test-000000.tar")
    runs = {"one": save_run(root / "a"), "two": save_run(root / "b", "model.cascade=false")}
    options = FigureOptions(steps=(1, 9, 20), num_items=2)
    return root, dataset, make_figures(runs, dataset, root / "out", ablation={"A0": runs["two"]}, options=options)


def test_all_figures_and_videos_are_written(figures: tuple[Path, Path, list[Path]]) -> None:
    root, _, written = figures
    out = root / "out"
    names = [
        "figure4-models", "figure5-images-one", "figure6-audio-one", "figure5-images-two", "figure6-audio-two",
        "figure7-ablation",
    ]  # fmt: skip
    assert [path.name for path in written] == ["index.html", *(f"{n}.{form}" for n in names for form in ("png", "svg"))]
    assert all(path.stat().st_size > 1_000 for path in written)
    page = (out / "index.html").read_text()
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    videos = [address for address in addresses if address.startswith("videos/")]
    assert len(videos) == 2 * 3 + 2 * (2 + 2) + 2 * 2
    assert all((out / address).is_file() for address in addresses if not address.startswith("data:"))
    with av.open(str(out / videos[1])) as file:
        assert file.streams.video[0].frames == 20
        assert len(file.streams.audio) == 1
    record = json.loads((out / "figures.json").read_text())
    assert record["runs"]["one"]["steps"] == 5
    assert len(record["clips"]) == 2


def test_images_and_audio_are_exchanged_separately(figures: tuple[Path, Path, list[Path]]) -> None:
    videos = figures[0] / "out" / "videos"

    def frames(name: str) -> np.ndarray[Any, Any]:
        with av.open(str(videos / name)) as file:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]).astype(int)

    own = frames("figure4-models-0-1.mp4")
    assert np.array_equal(frames("figure5-images-one-0-0.mp4"), own), "the first image with its own audio"
    assert np.array_equal(frames("figure6-audio-one-0-0.mp4"), own)
    assert np.abs(frames("figure5-images-one-0-1.mp4") - own).mean() > 1
    assert np.abs(frames("figure6-audio-one-1-0.mp4") - own).mean() > 1


def test_invalid_inputs_are_errors(figures: tuple[Path, Path, list[Path]], tmp_path: Path) -> None:
    root, dataset, _ = figures
    runs = {"one": root / "a"}
    with pytest.raises(DatasetError, match=r"0 of 6 clips of test have 32 frames or more, required: 3"):
        make_figures(runs, dataset, tmp_path / "out")
    with pytest.raises(CheckpointError, match="no checkpoint in it"):
        make_figures({"none": tmp_path}, dataset, tmp_path / "out", options=FigureOptions(steps=(1, 9), num_items=1))
    with pytest.raises(OptionError, match="any name but 'real'"):
        make_figures({"real": root / "a"}, dataset, tmp_path / "out")
    for steps in ((), (0, 1), (3, 2), (2, 2), (1, 1000)):
        with pytest.raises(OptionError, match="--steps"):
            FigureOptions(steps=steps)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_figures_command(figures: tuple[Path, Path, list[Path]], tmp_path: Path) -> None:
    root, dataset, _ = figures

    def run_command(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cssgan", "figures", "--shards", str(dataset), "--out", str(tmp_path / "out")]
        return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)

    done = run_command("--run", f"mine={root / 'a'}", "--steps", "1,20", "--items", 1, "--audio-plot", "mel")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == str(tmp_path / "out" / "index.html")
    for arguments, message in (
        (("--run", "mine"), "--run: got 'mine', allowed: NAME=RUN"),
        (("--run", "../x=run"), "--run: got '../x=run'"),
        (("--ablation", "a=b", "--ablation", "a=c"), "--ablation: got 'a=c', allowed: another name"),
        ((), "NAME=RUN at least once"),
        (("--run", "a=b", "--steps", "1,x"), "--steps: got '1,x'"),
    ):
        result = run_command(*arguments)
        assert result.returncode == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_browser_plays_the_videos(figures: tuple[Path, Path, list[Path]], browser: Any) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto((figures[0] / "out" / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 300)")
    page.get_by_role("button", name="play together").first.click()
    page.wait_for_function("[...document.querySelectorAll('video')].slice(0, 3).every(video => video.ended)")
    decoded = page.locator("video").first.evaluate("video => [video.webkitAudioDecodedByteCount, video.error]")
    assert decoded[0] > 0
    assert decoded[1] is None
    assert errors == []
    page.screenshot(path=figures[0] / "page.png", full_page=True)
