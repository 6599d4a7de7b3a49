"""G3AN's layers against torch's own, its sizes, and attention against the equation."""

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
    frame_plan,
)

NATIVE = [(4, 1, 0), (4, 2, 1), (4, 2, 1), (1, 1, 0), (1, 1, 0)]  # 16 frames


def millions(module: nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in module.parameters()) / 1e6, 1)


def awake(attention: nn.Module) -> nn.Module:
    """Gamma away from 0, where the module would be the identity."""
    for name, parameter in attention.named_parameters():
        if name.endswith("gamma"):
            nn.init.constant_(parameter, 0.7)
    return attention


@pytest.mark.parametrize(("attention", "expected"), [(False, 22.9), (True, 23.1)])
def test_the_size_of_the_original(attention: bool, expected: float) -> None:
    with torch.device("meta"):
        decoder = G3anDecoder(size=64, width=64, appearance_dim=128, motion_dim=10, plan=NATIVE, attention=attention)
        video = decoder(torch.empty(2, 128), torch.empty(2, 1, 10))

    assert millions(decoder) == expected
    assert video.shape == (2, 3, 16, 64, 64)


def test_the_video_discriminator_of_the_original() -> None:
    with torch.device("meta"):
        judge = SeparableVideoDiscriminator(size=64, width=64, class_dim=0, spectral=True)
        places = [judge(torch.empty(2, 3, frames, 64, 64), torch.empty(2, 0))[0].shape for frames in (16, 32)]

    assert millions(judge) == 8.3
    assert places == [(2, 1), (2, 17)]


@pytest.mark.parametrize(
    ("frames", "blocks", "vectors", "made"),
    [(16, 5, 1, [4, 8, 16, 16, 16]), (32, 5, 1, [4, 8, 16, 32, 32]), (32, 5, 5, [8, 16, 32, 32, 32]), (32, 4, 1, [4, 8, 16, 32]), (32, 3, 1, [8, 16, 32])],
)  # fmt: skip
def test_frames_of_each_block(frames: int, blocks: int, vectors: int, made: list[int]) -> None:
    x, seen = torch.zeros(1, 3, vectors, 1, 1), list[int]()

    for kernel, stride, padding in frame_plan(frames, blocks, vectors):
        x = functional.conv_transpose3d(x, torch.zeros(3, 3, kernel, 1, 1), None, (stride, 1, 1), (padding, 0, 0))
        seen.append(x.shape[2])

    assert seen == made


@pytest.mark.parametrize("form", [(4, 1, 0), (4, 2, 1), (1, 1, 0)])
@pytest.mark.parametrize("frames", [1, 5])
def test_the_temporal_layer_is_torchs_transposed_convolution(form: tuple[int, int, int], frames: int) -> None:
    torch.manual_seed(0)
    layer = TemporalLayer(6, 4, form)
    nn.init.normal_(layer.bias)
    x = torch.randn(2, frames, 6, 3, 5)

    kernel, stride, padding = form
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


def test_attention_is_the_equation() -> None:
    torch.manual_seed(0)
    attention, x = awake(SelfAttention(16)), torch.randn(3, 5, 16)

    for n in range(3):
        for i in range(5):
            scores = torch.stack([attention.query(x[n, i]) @ attention.key(x[n, j]) for j in range(5)])
            mixed = sum(w * attention.value(x[n, j]) for j, w in enumerate(scores.softmax(dim=0)))
            torch.testing.assert_close(attention(x)[n, i], x[n, i] + 0.7 * mixed, rtol=1e-4, atol=1e-5)


def test_permuting_time_permutes_what_attention_gives() -> None:
    torch.manual_seed(0)
    attention, x = awake(FactorizedAttention(16)), torch.randn(2, 6, 16, 3, 4)
    order = torch.tensor([4, 0, 5, 2, 1, 3])

    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(attention(x), x, atol=1e-2)


def test_permuting_pixels_permutes_what_attention_gives() -> None:
    torch.manual_seed(0)
    attention, x = awake(FactorizedAttention(16)), torch.randn(2, 3, 16, 4, 4)
    turned = x.transpose(3, 4).flip(3)

    torch.testing.assert_close(attention(turned), attention(x).transpose(3, 4).flip(3), rtol=1e-4, atol=1e-5)


def test_each_frame_is_heard_by_every_other_one() -> None:
    torch.manual_seed(0)
    attention, x = awake(FactorizedAttention(16)), torch.randn(1, 6, 16, 3, 3)
    changed = x.clone()
    changed[:, 5] += 1.0

    assert not torch.allclose(attention(changed)[:, 0], attention(x)[:, 0], atol=1e-4)
