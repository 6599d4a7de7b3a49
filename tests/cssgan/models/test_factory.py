"""Sizes of the networks at the widths of the presets, counted without allocating them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cssgan.config import override
from cssgan.models import factory
from cssgan.presets import preset


def millions(module: nn.Module) -> float:
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("paper", (), 73.1),
        ("lean", (), 33.6),
        ("paper", ("model.streams=1",), 74.6),
        ("lean", ("model.streams=1",), 34.3),
        ("paper", ("model.temporal_upsampling=late",), 63.4),
        ("paper", ("model.temporal_upsampling=early",), 74.4),
        ("paper", ("model.audio_inject=every",), 74.5),
    ],
)
def test_generator_sizes(name: str, settings: tuple[str, ...], expected: float) -> None:
    with torch.device("meta"):
        generator = factory.generator(override(preset(name), settings), num_classes=26)

    assert round(millions(generator), 1) == expected


def test_parts_of_the_paper_size() -> None:
    with torch.device("meta"):
        generator = factory.generator(preset("paper"), num_classes=26)
        discriminators = factory.discriminators(preset("paper"), num_classes=26)

    assert round(millions(generator.image_encoder), 2) == 3.58  # type: ignore[arg-type]
    assert round(millions(generator.audio_encoder), 2) == 0.72  # type: ignore[arg-type]
    assert round(millions(discriminators.image), 1) == 2.8
    assert round(millions(discriminators) - millions(discriminators.image), 1) == 7.6
