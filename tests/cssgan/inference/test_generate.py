"""Videos from a run: any audio length, the audio in the mp4, and invalid inputs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from cssgan.errors import CheckpointError
from cssgan.inference.generate import LoadedGenerator, eval_windows, generate_video, load_generator
from cssgan.models import factory
from cssgan.training import checkpoint
from cssgan.types import MelStats, Progress
from phonics_data.contract.labels import LETTERS
from phonics_data.errors import DatasetError, InputError
from tests.cssgan.toy_dataset import tiny_config, write_dataset


def save_run(run: Path, *settings: str) -> Path:
    torch.manual_seed(0)
    config = tiny_config(*settings)
    generator = factory.generator(config, num_classes=26)
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    checkpoint.save(
        run,
        weights={checkpoint.GENERATOR: generator.state_dict(), checkpoint.AVERAGE: generator.state_dict()},
        state={},
        config=config,
        label_set=LETTERS,
        mel_stats=MelStats(mean=-6.0, std=3.0, clamp=4.0),
        frame_rate=Fraction(25),
        progress=Progress(num_steps=5),
    )
    return run


@pytest.fixture
def loaded(tmp_path: Path) -> LoadedGenerator:
    return load_generator(save_run(tmp_path / "run"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return tmp_path / "image.png"


def write_audio(path: Path, seconds: float, rate_hz: int = 22_050, channels: int = 1) -> Path:
    samples = 0.3 * np.random.default_rng(0).standard_normal((round(seconds * rate_hz), channels))
    soundfile.write(path, samples.clip(-1, 1), rate_hz)
    return path


def conditions(frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, frames, 64, 20), torch.tensor([0, 25])


@pytest.mark.parametrize("settings", [(), ("model.cascade=false",), ("model.streams=1",)])
@pytest.mark.parametrize("frames", [1, 16, 37])
def test_any_number_of_frames(tmp_path: Path, frames: int, settings: tuple[str, ...]) -> None:
    loaded = load_generator(save_run(tmp_path, *settings))

    video = loaded.generate(*conditions(frames))

    assert video.shape == (2, 3, frames, 16, 16)
    assert float(video.abs().max()) <= 1.0


def test_longer_audio_continues_the_video(loaded: LoadedGenerator) -> None:
    image, mels, label = conditions(40)

    whole = loaded.generate(image, mels, label)
    start = loaded.generate(image, mels[:, :16], label)
    # The second stream starts from the last frame of the first.
    rest = loaded.generate(whole[:, :, 15], mels[:, 16:], label)

    torch.testing.assert_close(whole[:, :, :16], start)
    torch.testing.assert_close(whole[:, :, 16:], rest)


def test_batch_size_does_not_change_the_videos(loaded: LoadedGenerator) -> None:
    torch.testing.assert_close(
        loaded.generate(*conditions(16), max_batch=1), loaded.generate(*conditions(16)), atol=1e-5, rtol=1e-4
    )


def test_noise_is_seeded(tmp_path: Path) -> None:
    loaded = load_generator(save_run(tmp_path, "model.z_dim=4"))

    first, again, other = (loaded.generate(*conditions(16), seed=seed) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_averaged_weights_are_loaded(tmp_path: Path) -> None:
    assert load_generator(save_run(tmp_path), which="ema").which == "ema"


def test_eval_windows_fit_the_generator(tmp_path: Path, loaded: LoadedGenerator) -> None:
    dataset = write_dataset(tmp_path / "data", num_validation=3)

    out = eval_windows(dataset, "validation", loaded, num_videos=2)

    assert len(out) == 2
    image = torch.from_numpy(out.video_NTHWC[:, 0].copy()).permute(0, 3, 1, 2) / 127.5 - 1
    video = loaded.generate(image, torch.from_numpy(out.mels_NTMU), torch.from_numpy(out.labels_N))
    assert video.shape == (2, 3, 16, 16, 16)
    with pytest.raises(DatasetError, match=r"no test-\*\.tar"):
        eval_windows(dataset, "test", loaded)


@pytest.mark.parametrize(("rate_hz", "channels"), [(22_050, 1), (44_100, 2), (8_000, 1), (96_000, 1)])
def test_the_mp4_contains_video_and_audio_of_the_same_length(
    tmp_path: Path, loaded: LoadedGenerator, image: Path, rate_hz: int, channels: int
) -> None:
    audio = write_audio(tmp_path / "audio.wav", 2.2, rate_hz, channels)

    result = generate_video(loaded, image=image, audio=audio, label="Q", out=tmp_path / "out/video.mp4")

    assert (result.num_frames, result.frame_rate) == (55, Fraction(25))
    with av.open(str(result.path)) as file:
        video, track = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.codec_context.width, video.codec_context.height) == (256, 256)
        assert track.codec_context.name == "aac"
        assert video.average_rate == 25
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        file.seek(0)
        seconds = sum(frame.samples for frame in file.decode(audio=0)) / track.codec_context.sample_rate
    assert len(frames) == 55
    assert seconds == pytest.approx(2.2, abs=0.15)  # whole AAC packets
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["video.mp4"]


def test_frame_rate_and_scale(tmp_path: Path, loaded: LoadedGenerator, image: Path) -> None:
    audio = write_audio(tmp_path / "audio.wav", 1.001)

    result = generate_video(
        loaded,
        image=image,
        audio=audio,
        label="A",
        out=tmp_path / "video.mp4",
        frame_rate=Fraction(30000, 1001),
        scale=3,
    )

    with av.open(str(result.path)) as file:
        video = file.streams.video[0]
        assert (result.num_frames, video.average_rate, video.codec_context.width) == (30, Fraction(30000, 1001), 48)


def test_invalid_inputs_are_named_and_nothing_is_written(tmp_path: Path, loaded: LoadedGenerator, image: Path) -> None:
    audio = write_audio(tmp_path / "audio.wav", 1.0)
    text = tmp_path / "notes.txt"
    text.write_text("neither audio nor image")
    out = tmp_path / "out.mp4"

    def run(image: Path = image, audio: Path = audio, label: str = "A", to: Path = out) -> None:
        generate_video(loaded, image=image, audio=audio, label=label, out=to)

    with pytest.raises(InputError, match=r"notes.txt: cannot be read as audio"):
        run(audio=text)
    with pytest.raises(InputError, match=r"notes.txt: cannot be read as an image"):
        run(image=text)
    with pytest.raises(InputError, match=r"out.avi: allowed: a name that ends in .mp4"):
        run(to=tmp_path / "out.avi")
    with pytest.raises(InputError, match=r"gone.png: no such image"):
        run(image=tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"gone.wav: no such audio file"):
        run(audio=tmp_path / "gone.wav")
    with pytest.raises(InputError, match=r"empty.wav: contains no audio"):
        run(audio=write_audio(tmp_path / "empty.wav", 0.0))
    with pytest.raises(InputError, match=r"short.wav: lasts 0.010 s, less than one frame"):
        run(audio=write_audio(tmp_path / "short.wav", 0.01))
    with pytest.raises(DatasetError, match="label 'AA' is not in label set 'letters'"):
        run(label="AA")
    with pytest.raises(InputError, match="cannot be written"):
        run(to=text / "video.mp4")
    assert not out.exists()


def test_a_folder_without_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint in it; train first"):
        load_generator(tmp_path)
