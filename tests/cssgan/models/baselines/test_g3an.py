"""G3AN: layers compared with torch's, sizes, and attention compared with its equation."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from cssgan.models.baselines.g3an import (
    FactorizedAttention,
    G3anDecoder,
    SelfAttention,
    SeparableVideoDiscriminator,
    SpatialLayer,
    TemporalLayer,
    temporal_shapes,
)

NATIVE = [(4, 1, 0), (4, 2, 1), (4, 2, 1), (1, 1, 0), (1, 1, 0)]  # 16 frames


def millions(module: nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 1)


def with_gamma(attention: nn.Module) -> nn.Module:
    """Set gamma to 0.7; with 0 the module is the identity."""
    for name, parameter in attention.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, 0.7)
    return attention


@pytest.mark.parametrize(("attention", "expected"), [(False, 22.9), (True, 23.1)])
def test_the_size_of_the_original(attention: bool, expected: float) -> None:
    with torch.device("meta"):
        decoder = G3anDecoder(size=64, width=64, appearance_dim=128, motion_dim=10, shapes=NATIVE, attention=attention)
        video = decoder(torch.empty(2, 128), torch.empty(2, 1, 10))

    assert millions(decoder) == expected
    assert video.shape == (2, 3, 16, 64, 64)


def test_the_video_discriminator_of_the_original() -> None:
    with torch.device("meta"):
        discriminator = SeparableVideoDiscriminator(size=64, width=64, class_dim=0, spectral=True)
        positions = [
            discriminator(torch.empty(2, 3, frames, 64, 64), torch.empty(2, 0))[0].shape for frames in (16, 32)
        ]

    assert millions(discriminator) == 8.3
    assert positions == [(2, 1), (2, 17)]


@pytest.mark.parametrize(
    ("frames", "blocks", "vectors", "expected"),
    [(16, 5, 1, [4, 8, 16, 16, 16]), (32, 5, 1, [4, 8, 16, 32, 32]), (32, 5, 5, [8, 16, 32, 32, 32]), (32, 4, 1, [4, 8, 16, 32]), (32, 3, 1, [8, 16, 32])],
)  # fmt: skip
def test_frames_of_each_block(frames: int, blocks: int, vectors: int, expected: list[int]) -> None:
    x, lengths = torch.zeros(1, 3, vectors, 1, 1), list[int]()

    for kernel, stride, padding in temporal_shapes(frames, blocks, vectors):
        x = functional.conv_transpose3d(x, torch.zeros(3, 3, kernel, 1, 1), None, (stride, 1, 1), (padding, 0, 0))
        lengths.append(x.shape[2])

    assert lengths == expected


@pytest.mark.parametrize("shape", [(4, 1, 0), (4, 2, 1), (1, 1, 0)])
@pytest.mark.parametrize("frames", [1, 5])
def test_the_temporal_layer_is_torchs_transposed_convolution(shape: tuple[int, int, int], frames: int) -> None:
    torch.manual_seed(0)
    layer = TemporalLayer(6, 4, shape)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, frames, 6, 3, 5)

    kernel, stride, padding = shape
    weight_EOk11 = layer.normalized().transpose(0, 1)[..., None, None]
    expected = functional.conv_transpose3d(x.transpose(1, 2), weight_EOk11, layer.bias, (stride, 1, 1), (padding, 0, 0))
    torch.testing.assert_close(layer(x), expected.transpose(1, 2))
    assert kernel == layer.weight.shape[2]


def test_the_spatial_layer_is_torchs_transposed_convolution_with_spectral_norm_one() -> None:
    torch.manual_seed(0)
    layer = SpatialLayer(6, 4, first=False)
    layer.iterate(200)
    x = torch.randn(2, 3, 6, 4, 4)

    weight_OEHW = layer.normalized()
    expected = functional.conv_transpose3d(
        x.transpose(1, 2), weight_OEHW.transpose(0, 1)[:, :, None], layer.bias, (1, 2, 2), (0, 1, 1)
    )
    torch.testing.assert_close(layer(x), expected.transpose(1, 2))
    assert float(torch.linalg.matrix_norm(weight_OEHW.flatten(1), 2).detach()) == pytest.approx(1.0, abs=1e-4)


def test_attention_equals_its_equation() -> None:
    torch.manual_seed(0)
    attention, x = with_gamma(SelfAttention(16)), torch.randn(3, 5, 16)

    for n in range(3):
        for i in range(5):
            scores = torch.stack([attention.query(x[n, i]) @ attention.key(x[n, j]) for j in range(5)])
            attended = sum(w * attention.value(x[n, j]) for j, w in enumerate(scores.softmax(dim=0)))
            torch.testing.assert_close(attention(x)[n, i], x[n, i] + 0.7 * attended, rtol=1e-4, atol=1e-5)


def test_permuting_frames_permutes_the_attention_output() -> None:
    torch.manual_seed(0)
    attention, x = with_gamma(FactorizedAttention(16)), torch.randn(2, 6, 16, 3, 4)
    order = torch.tensor([4, 0, 5, 2, 1, 3])

    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(attention(x), x, atol=1e-2)


def test_permuting_pixels_permutes_the_attention_output() -> None:
    torch.manual_seed(0)
    attention, x = with_gamma(FactorizedAttention(16)), torch.randn(2, 3, 16, 4, 4)
    turned = x.transpose(3, 4).flip(3)

    torch.testing.assert_close(attention(turned), attention(x).transpose(3, 4).flip(3), rtol=1e-4, atol=1e-5)


def test_each_frame_attends_to_every_other_frame() -> None:
    torch.manual_seed(0)
    attention, x = with_gamma(FactorizedAttention(16)), torch.randn(1, 6, 16, 3, 3)
    changed = x.clone()
    changed[:, 5] += 1.0

    assert not torch.allclose(attention(changed)[:, 0], attention(x)[:, 0], atol=1e-4)
