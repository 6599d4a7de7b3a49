"""Resizing as in the published protocols, against recorded values."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from cssgan.metrics.networks.resize import clean_bicubic, for_i3d, tensorflow_bilinear


def test_tensorflow_bilinear_equals_torch_fidelity() -> None:
    """The expected values are those of torch-fidelity 0.4.0, interpolate_bilinear_2d_like_tensorflow1x."""
    levels = (torch.arange(2 * 3 * 7 * 5).reshape(2, 3, 7, 5) * 37 % 256).permute(0, 2, 3, 1).numpy().astype(np.uint8)
    out = tensorflow_bilinear(levels)
    assert out.shape == (2, 3, 299, 299)
    assert float(out.double().sum()) == pytest.approx(67945800.1814887, rel=1e-12)
    assert float((out.double() ** 2).sum()) == pytest.approx(10249015051.398882, rel=1e-12)
    assert float(out[0, 0, 150, 150]) == 99.47825622558594
    assert float(out[1, 2, 297, 298]) == 53.0


def test_tensorflow_bilinear_adds_no_half_pixel() -> None:
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, :, None, None] * 2, (1, 64, 64, 3)).copy()
    rows = tensorflow_bilinear(ramp)[0, 0, :, 0].numpy()
    expected = np.minimum(np.arange(299) * 64 / 299, 63) * 2
    assert rows == pytest.approx(expected, abs=1e-4)
    same = np.random.default_rng(0).integers(0, 256, (1, 299, 299, 3)).astype(np.uint8)
    assert np.array_equal(tensorflow_bilinear(same)[0].permute(1, 2, 0).numpy(), same[0])


def test_clean_is_bicubic_of_pil_without_rounding() -> None:
    # Away from 0 and 255, because PIL clips integer images between its two passes.
    frame = np.random.default_rng(1).integers(100, 156, (48, 40, 3)).astype(np.uint8)
    out = clean_bicubic(frame[None])[0].permute(1, 2, 0).numpy()
    rounded = np.asarray(Image.fromarray(frame).resize((299, 299), Image.Resampling.BICUBIC))
    assert np.abs(out - rounded).max() < 1.5
    assert np.abs(out - np.rint(out)).max() > 0.4
    sharp = clean_bicubic(np.random.default_rng(1).integers(0, 2, (1, 9, 9, 3)).astype(np.uint8) * 255)
    assert (float(sharp.min()), float(sharp.max())) == (0.0, 255.0)


def test_input_of_i3d_has_range_minus_one_to_one_and_channels_first() -> None:
    videos = np.zeros((2, 5, 16, 16, 3), np.uint8)
    videos[1, 3, :, :, 2] = 255
    out = for_i3d(videos)
    assert out.shape == (2, 3, 5, 224, 224)
    assert float(out[1, 2, 3].min()) == pytest.approx(1.0)
    assert float(out[1, 1, 3].max()) == -1.0
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(np.arange(16 * 16, dtype=np.float32).reshape(1, 1, 16, 16) % 251), (224, 224), mode="bilinear"
    )
    ramp = np.broadcast_to(
        (np.arange(256).reshape(16, 16) % 251).astype(np.uint8)[None, None, :, :, None], (1, 1, 16, 16, 3)
    )
    assert (for_i3d(ramp.copy())[0, 0, 0] - (2 * reference[0, 0] / 255 - 1)).abs().max() < 1e-6
