"""Object pictures and words: from samples to the inputs of a model, with dropout, in every loader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cssgan.config import Config
from cssgan.data import loaders, object_pictures, resident
from cssgan.data.batches import ResidentLoader, augment_boxes, augment_window, micro_batches
from cssgan.data.device_loader import DeviceLoader
from cssgan.data.sampler import sample_randomness
from cssgan.data.word_embedding import word_vector, word_vectors
from cssgan.types import Batch, MelStats
from tests.cssgan.toy_dataset import make_sample, tiny_config, write_shard

CPU = torch.device("cpu")
OPTIONS = ("model.object_condition=true", "model.word_dim=8")


def square(colour: tuple[int, int, int], height: int = 20, width: int = 20) -> NDArray[np.uint8]:
    """A picture of one colour with a transparent edge of five pixels, whose colour has no meaning."""
    picture = np.full((height + 10, width + 10, 4), (9, 200, 77, 0), np.uint8)
    picture[5:-5, 5:-5] = (*colour, 255)
    return picture


def boxes_of(number: int, num_frames: int) -> NDArray[np.float32]:
    """Not there in the first three frames, not known in the fourth, then a box that moves to the right."""
    boxes_L4 = np.tile(np.array([0.1, 0.2, 0.4, 0.1 * number + 0.3], np.float32), (num_frames, 1))
    boxes_L4[:, [0, 2]] += np.linspace(0, 0.5, num_frames, dtype=np.float32)[:, None]
    boxes_L4[:3], boxes_L4[3] = 0.0, np.nan
    return boxes_L4


def write_objects(folder: Path) -> Path:
    """Six clips in two shards; every second one has a picture of its own colour and a word."""
    samples = [make_sample(seed, num_frames=12 + 3 * seed, size=32) for seed in range(6)]
    samples = [
        replace(
            sample,
            object_picture=square((40 * n, 255, 10)),
            object_word=f"word{n}",
            object_boxes_L4=boxes_of(n, sample.num_frames),
        )
        if n % 2
        else sample
        for n, sample in enumerate(samples)
    ]
    write_shard(folder / "train-000000.tar", samples[:2])
    write_shard(folder / "train-000001.tar", samples[2:])
    return folder


def resident_loader(folder: Path, config: Config) -> ResidentLoader:
    data = resident.load(folder, "train", config.data.size)
    stats = MelStats(mean=data.mean, std=data.std, clamp=config.data.mel_clamp)
    return ResidentLoader(data=data, config=config, mel_stats=stats, device=CPU)


def test_a_picture_is_cut_to_its_visible_pixels_and_scaled_with_its_aspect() -> None:
    stored = object_pictures.fit(square((255, 0, 0), height=20, width=40), 8)

    assert stored.shape == (8, 8, 4)
    assert (stored[2:6] == (255, 0, 0, 255)).all()
    assert (stored[:2] == 0).all()
    assert (stored[6:] == 0).all()


def test_transparent_pixels_do_not_leak_their_colour() -> None:
    rng = np.random.default_rng(0)
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[..., :3] = (0, 255, 0)
    visible = rng.random((32, 32)) < 0.5
    picture[visible] = (255, 0, 0, 255)

    stored = object_pictures.fit(picture, 8)

    assert (stored[..., 1] <= 2).all()
    assert (stored[..., 0] >= 250).all()
    assert 100 < stored[..., 3].mean() < 155


@pytest.mark.parametrize("picture", [None, np.full((4, 4, 4), (255, 255, 255, 0), np.uint8)])
def test_no_visible_pixel_is_no_object(picture: NDArray[np.uint8] | None) -> None:
    stored = object_pictures.fit(picture, 8)

    assert not stored.any()
    assert not object_pictures.to_input(torch.from_numpy(stored)[None]).any()


def test_the_input_has_colours_from_minus_one_to_one_and_alpha() -> None:
    stored = object_pictures.fit(square((255, 0, 255), height=2, width=4), 4)

    picture = object_pictures.to_input(torch.from_numpy(stored)[None])

    assert picture.shape == (1, 4, 4, 4)
    assert picture[0, :, 1, 0].tolist() == [1.0, -1.0, 1.0, 1.0]
    assert picture[0, :, 0, 0].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_words_have_fixed_vectors_of_unit_length() -> None:
    vectors = word_vectors(["lion", " LION ", "lions", "umbrella", ""], 64)

    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 1, 0], atol=1e-6)
    assert np.array_equal(vectors[0], vectors[1])
    assert vectors[0] @ vectors[2] > 0.4 > abs(vectors[0] @ vectors[3])
    # The function must not change: models are trained with it.
    np.testing.assert_allclose(word_vector("lion", 4), FIXED, atol=1e-6)


FIXED = [0.638159, -0.4024294, -0.5463704, -0.3637074]


def test_batches_contain_the_boxes_of_their_frames(tmp_path: Path) -> None:
    settings = (*OPTIONS, "model.object_dropout=0", "loss.place_weight=1", "data.frame_stride=2")
    folder = write_objects(tmp_path)
    loader = resident_loader(folder, tiny_config(*settings))
    streamed = tiny_config(*settings, "data.loader=streaming", "data.workers=0")
    streaming = loaders.training_loader(loaders.open_training_data(streamed, folder), streamed, CPU)
    for position in range(0, 24, 3):
        batch, spec = loader.batch(position), loader.sampler.spec(position)
        assert batch.boxes_BT4 is not None
        same = streaming.batch(position).boxes_BT4
        assert same is not None
        torch.testing.assert_close(same, batch.boxes_BT4, equal_nan=True, atol=0, rtol=0)
        for key, start, boxes_T4 in zip(batch.keys, spec.starts, batch.boxes_BT4.numpy(), strict=True):
            number = int(key[-4:])
            if number % 2:
                rows = np.minimum(start + 2 * np.arange(16), 12 + 3 * number - 1)
                np.testing.assert_array_equal(boxes_T4, boxes_of(number, 12 + 3 * number)[rows])
            else:
                assert np.isnan(boxes_T4).all()


def test_boxes_move_with_a_shifted_window() -> None:
    config = tiny_config(*OPTIONS, "loss.place_weight=1", "data.augment_shift=3")
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    frames[1, 4:8, 6:10] = 255
    boxes_T4 = np.array([[0, 0, 0, 0], [6 / 16, 4 / 16, 10 / 16, 8 / 16]], np.float32)
    seen = set[tuple[float, ...]]()
    for position in range(12):
        moved, found = augment_window(frames, config, position), augment_boxes(boxes_T4, config, position, (16, 16))
        rows, columns = (np.flatnonzero(moved[1, ..., 0].any(axis=axis)) for axis in (1, 0))
        assert (found[1] * 16).tolist() == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
        assert not found[0].any()
        seen.add(tuple(found[1].tolist()))
    assert len(seen) > 5
    unknown = augment_boxes(np.full((1, 4), np.nan, np.float32), config, 0, (16, 16))
    assert np.isnan(unknown).all()


def test_batches_contain_the_objects_of_their_clips(tmp_path: Path) -> None:
    loader = resident_loader(write_objects(tmp_path), tiny_config(*OPTIONS, "model.object_dropout=0"))
    seen = 0
    for position in range(0, 12, 3):
        batch = loader.batch(position)
        assert batch.object_BCHW is not None
        assert batch.word_BE is not None
        assert batch.object_BCHW.shape == (3, 4, 8, 8)
        for key, picture, word in zip(batch.keys, batch.object_BCHW, batch.word_BE, strict=True):
            number = int(key[-4:])
            if number % 2:
                seen += 1
                colour = torch.tensor([40 * number / 127.5 - 1, 1.0, 10 / 127.5 - 1, 1.0])
                torch.testing.assert_close(picture, colour[:, None, None].expand(4, 8, 8))
                assert np.array_equal(word.numpy(), word_vector(f"word{number}", 8))
            else:
                assert not picture.any()
                assert not word.any()
    assert seen == 6


def test_without_the_options_a_batch_has_no_objects(tmp_path: Path) -> None:
    batch = resident_loader(write_objects(tmp_path), tiny_config()).batch(0)
    assert batch.object_BCHW is None
    assert batch.word_BE is None


def test_dropout_is_a_function_of_seed_and_position_and_independent_for_words() -> None:
    config = tiny_config(*OPTIONS, "model.object_dropout=0.3")
    lengths = [20] * 500
    first, again = (sample_randomness(config, 600, lengths) for _ in range(2))
    other = sample_randomness(config, 1100, lengths)

    assert np.array_equal(first.keeps_object_B, again.keeps_object_B)
    assert not np.array_equal(first.keeps_object_B, other.keeps_object_B)
    for kept in (first.keeps_object_B, first.keeps_word_B):
        assert 0.62 < kept.mean() < 0.78
    assert 0.4 < (first.keeps_object_B & first.keeps_word_B).mean() < 0.58
    plain = sample_randomness(tiny_config(), 600, lengths)
    assert plain.starts == first.starts
    assert np.array_equal(plain.orders_B, first.orders_B)


def test_dropped_rows_have_neither_picture_nor_word(tmp_path: Path) -> None:
    folder = write_objects(tmp_path)
    batch = resident_loader(folder, tiny_config(*OPTIONS, "model.object_dropout=1")).batch(0)
    assert batch.object_BCHW is not None
    assert batch.word_BE is not None
    assert not batch.object_BCHW.any()
    assert not batch.word_BE.any()


@pytest.mark.parametrize("settings", [(), ("data.augment_colour=true", "data.augment_shift=2")])
def test_every_loader_gives_the_same_objects(tmp_path: Path, settings: tuple[str, ...]) -> None:
    folder = write_objects(tmp_path)
    config = tiny_config(*OPTIONS, *settings)
    of_host = resident_loader(folder, config)
    streamed = tiny_config(*OPTIONS, *settings, "data.loader=streaming", "data.workers=0")
    of_stream = loaders.training_loader(loaders.open_training_data(streamed, folder), streamed, CPU)
    of_device = DeviceLoader(wrapped=of_host)

    for position in (0, 3, 6):
        expected = _objects(of_host.batch(position))
        assert _objects(of_stream.batch(position)) == expected
        assert _objects(of_device.batch(position)) == expected
    of_stream.close()


def _objects(batch: Batch) -> tuple[list[float], list[float]]:
    assert batch.object_BCHW is not None
    assert batch.word_BE is not None
    return batch.object_BCHW.flatten().tolist(), batch.word_BE.flatten().tolist()


def test_colour_augmentation_is_that_of_the_frames(tmp_path: Path) -> None:
    """The frames of these clips have the colour of their object."""
    samples = [make_sample(seed, size=32) for seed in range(3)]
    colours = [(10, 90, 200), (240, 30, 60), (128, 5, 250)]
    samples = [
        replace(
            sample,
            frames_LHWC=np.broadcast_to(np.array(colour, np.uint8), sample.frames_LHWC.shape).copy(),
            object_picture=square(colour),
        )
        for sample, colour in zip(samples, colours, strict=True)
    ]
    write_shard(tmp_path / "train-000000.tar", samples)
    config = tiny_config(*OPTIONS, "model.object_dropout=0", "data.augment_colour=true")

    batch = resident_loader(tmp_path, config).batch(0)

    assert batch.object_BCHW is not None
    torch.testing.assert_close(batch.object_BCHW[:, :3, 4, 4], batch.video_BCTHW[:, :, 0, 0, 0])


def test_micro_batches_cut_objects_too(tmp_path: Path) -> None:
    config = tiny_config(*OPTIONS, "train.batch_size=4", "train.accumulate=2", "model.object_dropout=0")
    whole = resident_loader(write_objects(tmp_path), config).batch(0)

    parts = micro_batches(whole, config)
    assert len(parts) == 2

    for name in ("object_BCHW", "word_BE"):
        assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))


def test_eval_windows_carry_objects_and_select_them(tmp_path: Path) -> None:
    config = tiny_config()
    data = resident.load(write_objects(tmp_path), "train", 16)
    stats = MelStats(mean=data.mean, std=data.std, clamp=4.0)
    windows = resident.split_windows(data, num_frames=config.data.num_frames, label_set=data.label_set, mel_stats=stats)

    some = windows.select(np.array([3, 0]))

    assert windows.objects_NHWC is not None
    assert some.objects_NHWC is not None
    assert windows.objects_NHWC.shape == (6, 8, 8, 4)
    assert windows.objects_NHWC[..., 3].any(axis=(1, 2)).tolist() == [False, True] * 3
    assert np.array_equal(some.objects_NHWC, windows.objects_NHWC[[3, 0]])
    assert some.object_words == ("word3", "")
    assert len(data.objects_NHWC) == 4  # the empty one, and one for each clip that has a picture
