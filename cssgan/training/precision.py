"""Speed options of `cssgan.config.ComputeConfig`: precision, memory format, compilation; and a check of bf16.

Without them a step runs eagerly in float32.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from cssgan.config import Config
from cssgan.models.interface import Discriminators, VideoGenerator
from phonics_data.errors import DependencyError

log = logging.getLogger("cssgan")


def uses_bf16(config: Config, device: torch.device) -> bool:
    """Whether `compute.precision` selects bf16 on `device`."""
    selected = config.compute.precision
    return selected == "bf16" or (selected == "auto" and device.type == "cuda")


def autocast(config: Config, device: torch.device, *, enabled: bool = True) -> AbstractContextManager[object]:
    """Context in which matrix products and convolutions run in bf16 if `compute.precision` selects it."""
    if not enabled or not uses_bf16(config, device):
        return nullcontext()
    # A captured step must cast the weights at every replay, so casts must not be cached.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=not config.compute.cuda_graph)


def set_memory_format(network: nn.Module, config: Config) -> None:
    """With `compute.channels_last`, convert the weights of 2-D and 3-D convolutions in place."""
    if not config.compute.channels_last:
        return
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.dim() in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.dim()])


def compile_networks(
    generator: VideoGenerator, discriminators: Discriminators, config: Config, *, backend: str = "inductor"
) -> None:
    """With `compute.compile`, compile the most expensive modules in place.

    The cascade stays eager and calls the same compiled modules for each clip. Discriminators with a gradient penalty
    stay eager because compiled code has no second derivatives.
    """
    if not config.compute.compile:
        return
    modules = [getattr(generator, name, None) for name in ("image_encoder", "decoder")]
    if config.loss.r1_gamma > 0 or config.loss.r2_gamma > 0:
        log.info("discriminators are not compiled: gradient penalties need second derivatives")
    else:
        modules += [getattr(discriminators, name, None) for name in ("image", "trunk", "video")]
    for module in modules:
        if module is not None:
            module.compile(backend=backend, dynamic=False)


TOLERANCE = 0.02
"""Largest allowed difference between a bf16 and a float32 convolution, relative to the largest value."""


def check_convolutions(device: torch.device) -> None:
    """Compare 3-D convolutions in bf16 with float32, forward and backward. Some cuDNN builds return wrong results.

    Raises:
        DependencyError: they differ by more than `TOLERANCE`.
    """
    generator = torch.Generator().manual_seed(0)
    for kernel, stride, padding in (((4, 4, 4), (2, 2, 2), (1, 1, 1)), ((1, 4, 4), (1, 2, 2), (0, 1, 1))):
        x = torch.randn(2, 64, 8, 32, 32, generator=generator).to(device)
        weight = torch.randn(128, 64, *kernel, generator=generator).to(device) * 0.02

        def run(dtype: torch.dtype) -> list[Tensor]:
            a, w = (t.to(dtype).requires_grad_() for t in (x, weight))  # noqa: B023 - called in this iteration only
            out = functional.conv3d(a, w, None, stride, padding)  # noqa: B023
            gradients = torch.autograd.grad(out.float().square().sum(), (a, w))
            return [t.float() for t in (out, *gradients)]

        for what, expected, got in zip(
            ("output", "input gradient", "weight gradient"), run(torch.float32), run(torch.bfloat16), strict=True
        ):
            error = float(((expected - got).abs().max() / expected.abs().max()).detach())
            if not error <= TOLERANCE:
                raise DependencyError(
                    f"conv3d {kernel} in bf16 is wrong on {device}: {what} off by {error:.3f} of its range, allowed "
                    f"{TOLERANCE} (torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}); use --set "
                    "compute.precision=fp32, or install torch >= 2.10 with cuDNN >= 9.15"
                )
