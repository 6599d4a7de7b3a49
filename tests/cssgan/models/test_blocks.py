"""Fast layers equal the plain ones: outputs and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.models.blocks import (
    ClassConditionalConv,
    SpectralConv,
    TemporalConvTranspose,
    initialize,
    iterate_spectral_norms,
)


def plain(
    layer: TemporalConvTranspose, features_BTEHW: Tensor, skip_BEHW: Tensor | None, conditioning_BET: Tensor | None
) -> Tensor:
    """ConvTranspose3d over the explicit concatenation."""
    frames, height, width = features_BTEHW.shape[1], *features_BTEHW.shape[3:]
    parts = [features_BTEHW.transpose(1, 2)]
    if skip_BEHW is not None:
        parts.append(skip_BEHW[:, :, None].expand(-1, -1, frames, -1, -1))
    if conditioning_BET is not None:
        parts.append(conditioning_BET[..., None, None].expand(-1, -1, -1, height, width))
    weight = layer.weight[..., None, None]
    stride, padding = (layer.stride, 1, 1), (layer.padding, 0, 0)
    out = functional.conv_transpose3d(torch.cat(parts, dim=1), weight, layer.bias, stride, padding)
    return out.transpose(1, 2)


@pytest.mark.parametrize(
    ("frames_in", "frames_out", "first"),
    [
        (1, 1, True),
        (1, 2, True),
        (1, 4, True),
        (1, 1, False),
        (1, 2, False),
        (2, 4, False),
        (2, 2, False),
        (4, 8, False),
        (3, 3, False),
    ],
)
@pytest.mark.parametrize(("skip", "conditioning"), [(0, 0), (3, 0), (0, 4), (3, 4)])
def test_temporal_conv_transpose_equals_the_plain_layer(
    frames_in: int, frames_out: int, first: bool, skip: int, conditioning: int
) -> None:
    torch.manual_seed(0)
    layer = TemporalConvTranspose(
        features=5,
        skip=skip,
        conditioning=conditioning,
        out_channels=6,
        frames_in=frames_in,
        frames_out=frames_out,
        first=first,
    ).double()
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    features = torch.randn(2, frames_in, 5, 3, 3, dtype=torch.float64, requires_grad=True)
    image = torch.randn(2, skip, 3, 3, dtype=torch.float64, requires_grad=True) if skip else None
    condition = (
        torch.randn(2, conditioning, frames_in, dtype=torch.float64, requires_grad=True) if conditioning else None
    )
    leaves = [x for x in (features, image, condition, layer.weight, layer.bias) if x is not None]

    folded = layer.fold()
    fast = layer(features, image, layer.conditioning_term(condition, folded), folded)
    slow = plain(layer, features, image, condition)

    assert fast.shape == (2, frames_out, 6, 3, 3)
    torch.testing.assert_close(fast, slow)
    probe = torch.randn_like(fast)
    for gradient, reference in zip(
        torch.autograd.grad((fast * probe).sum(), leaves),
        torch.autograd.grad((slow * probe).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(gradient, reference)


def test_spectral_conv_has_spectral_norm_one() -> None:
    torch.manual_seed(0)
    layer = SpectralConv(4, 6, (4, 4), 2, 1)
    layer.iterate(200)

    largest = torch.linalg.matrix_norm(layer.normalized().flatten(1), ord=2)

    torch.testing.assert_close(largest, torch.ones(()), atol=1e-4, rtol=0)


def test_power_iterations_converge_to_those_of_torch() -> None:
    torch.manual_seed(0)
    ours = SpectralConv(3, 5, (4, 4, 4), (2, 2, 2), (1, 1, 1))
    plain_conv = nn.Conv3d(3, 5, 4, 2, 1)
    with torch.no_grad():
        plain_conv.weight.copy_(ours.weight)
        plain_conv.bias.copy_(ours.bias)  # type: ignore[union-attr]
    theirs = nn.utils.parametrizations.spectral_norm(plain_conv, n_power_iterations=200)
    clips = torch.randn(2, 3, 4, 8, 8)

    for _ in range(200):
        iterate_spectral_norms(ours)

    torch.testing.assert_close(ours(clips), theirs.train()(clips))


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [((4, 4, 4), (2, 2, 2), (1, 1, 1)), ((1, 4, 4), (1, 2, 2), (0, 1, 1))]
)
def test_class_conv_equals_the_concatenated_class_map(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], padding: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    layer = ClassConditionalConv(2, 3, 5, kernel, stride, padding).double()
    clips = torch.randn(4, 2, 4, 8, 8, dtype=torch.float64, requires_grad=True)
    label = functional.one_hot(torch.tensor([0, 2, 1, 2]), 3).double()
    joined = torch.cat((clips, label[:, :, None, None, None].expand(-1, -1, 4, 8, 8)), dim=1)

    fast = layer(clips, label)
    slow = functional.conv3d(joined, layer.normalized(), layer.bias, stride, padding)

    torch.testing.assert_close(fast, slow)
    probe = torch.randn_like(fast)
    leaves = [clips, layer.weight, layer.bias]
    for gradient, reference in zip(
        torch.autograd.grad((fast * probe).sum(), leaves),
        torch.autograd.grad((slow * probe).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(gradient, reference)


def test_forward_does_not_run_the_power_iteration() -> None:
    layer = SpectralConv(3, 5, (4, 4), 2, 1)
    before = layer.weight_u.clone()

    layer(torch.randn(1, 3, 8, 8))

    assert torch.equal(layer.weight_u, before)


def test_initialize_includes_transposed_convolutions() -> None:
    layer = TemporalConvTranspose(
        features=64, skip=0, conditioning=0, out_channels=64, frames_in=2, frames_out=4, first=False
    )
    network = nn.Sequential(layer, nn.ConvTranspose2d(64, 64, 4))

    initialize(network)

    for module in (layer, network[1]):
        assert float(module.weight.detach().std()) == pytest.approx(0.02, rel=0.05)  # type: ignore[union-attr]
