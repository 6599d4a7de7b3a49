"""What makes a step faster without making it another one: precision, layout, compilation; and the check before bf16.

Each is an option of `cssgan.config.ComputeConfig`; all off is plain eager float32.
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
    """`compute.precision`; auto means bf16 on a GPU."""
    chosen = config.compute.precision
    return chosen == "bf16" or (chosen == "auto" and device.type == "cuda")


def autocast(config: Config, device: torch.device, *, enabled: bool = True) -> AbstractContextManager[object]:
    """Within, matrix products and convolutions run in bf16 if `compute.precision` says so; weights stay float32."""
    if not enabled or not uses_bf16(config, device):
        return nullcontext()
    # A recorded step must cast the weights anew at every replay, so nothing may be kept from one use to the next.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=not config.compute.cuda_graph)


def lay_out(network: nn.Module, config: Config) -> None:
    """Weights of 2-D and 3-D convolutions with the channels last, in place, with `compute.channels_last`."""
    if not config.compute.channels_last:
        return
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.dim() in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.dim()])


def compile_parts(
    generator: VideoGenerator, discriminators: Discriminators, config: Config, *, backend: str = "inductor"
) -> None:
    """torch.compile, in place, for the parts in which the time goes, with `compute.compile`.

    The cascade stays eager: it calls the same compiled stream for each clip. Discriminators with a gradient penalty
    stay eager as well: compiled code has no second derivative.
    """
    if not config.compute.compile:
        return
    parts = [getattr(generator, name, None) for name in ("image_encoder", "decoder")]
    if config.loss.r1_gamma > 0 or config.loss.r2_gamma > 0:
        log.info("discriminators are not compiled: gradient penalties need second derivatives")
    else:
        parts += [getattr(discriminators, name, None) for name in ("image", "trunk", "video")]
    for part in parts:
        if part is not None:
            part.compile(backend=backend, dynamic=False)


TOLERANCE = 0.02
"""Largest difference, over the largest value, that a bf16 convolution may show against float32 (8 bits: 0.004 each)."""


def check_convolutions(device: torch.device) -> None:
    """Compare 3-D convolutions in bf16 with float32, forward and backward, once, before they are trusted.

    Some builds of cuDNN gave silently wrong results for them.

    Raises:
        DependencyError: they differ by more than `TOLERANCE`.
    """
    generator = torch.Generator().manual_seed(0)
    for kernel, stride, padding in (((4, 4, 4), (2, 2, 2), (1, 1, 1)), ((1, 4, 4), (1, 2, 2), (0, 1, 1))):
        x = torch.randn(2, 64, 8, 32, 32, generator=generator).to(device)
        weight = torch.randn(128, 64, *kernel, generator=generator).to(device) * 0.02

        def run(dtype: torch.dtype) -> list[Tensor]:
            a, w = (t.to(dtype).requires_grad_() for t in (x, weight))  # noqa: B023 - called in this turn alone
            out = functional.conv3d(a, w, None, stride, padding)  # noqa: B023
            gradients = torch.autograd.grad(out.float().square().sum(), (a, w))
            return [t.float() for t in (out, *gradients)]

        for what, right, got in zip(
            ("output", "input gradient", "weight gradient"), run(torch.float32), run(torch.bfloat16), strict=True
        ):
            error = float(((right - got).abs().max() / right.abs().max()).detach())
            if not error <= TOLERANCE:
                raise DependencyError(
                    f"conv3d {kernel} in bf16 is wrong on {device}: {what} off by {error:.3f} of its range, allowed "
                    f"{TOLERANCE} (torch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}); use --set "
                    "compute.precision=fp32, or install torch >= 2.10 with cuDNN >= 9.15"
                )
