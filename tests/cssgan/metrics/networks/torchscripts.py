"""TorchScript files of small networks with random weights and the signatures of the published networks."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn


class InceptionLike(nn.Module):
    """`layers` and `output` as in inception-2015-12-05.pt; few features, so that tests are fast."""

    def __init__(self, num_features: int = 24, num_classes: int = 1008) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 15, 15),
            nn.ReLU(),
            nn.Conv2d(8, num_features, 3, 2),
            nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(1),
        )
        self.output = nn.Linear(num_features, num_classes)

    def forward(self, img: Tensor, return_features: bool = False, no_output_bias: bool = False) -> Tensor:
        features = self.layers((img - 128.0) / 128.0).flatten(1)
        if return_features:
            return features
        logits = torch.nn.functional.linear(features, self.output.weight)
        if not no_output_bias:
            logits = logits + self.output.bias
        return logits.softmax(1)


class I3dLike(nn.Module):
    """Called as i3d_torchscript.pt is: x float (N, 3, T, H, W)."""

    def __init__(self, num_features: int = 20) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv3d(6, 8, (3, 14, 14), (2, 14, 14)), nn.LeakyReLU(0.2), nn.Conv3d(8, num_features, (3, 3, 3), 2)
        )

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        if resize:
            n, c, t = x.shape[0], x.shape[1], x.shape[2]
            frames = x.transpose(1, 2).flatten(0, 1)
            frames = torch.nn.functional.interpolate(frames, size=(224, 224), mode="bilinear", align_corners=False)
            x = frames.reshape(n, t, c, 224, 224).transpose(1, 2)
        if rescale:
            x = 2.0 * x / 255.0 - 1.0
        change = x[:, :, 1:] - x[:, :, :-1]
        x = torch.cat([x[:, :, 1:], 3.0 * change], 1)
        features = 10.0 * self.layers(x).abs().mean(dim=[2, 3, 4])
        return features if return_features else features.softmax(1)


class VggLike(nn.Module):
    """Called as vgg16.pt is: x float (N, 3, H, W) in 0..255."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2))

    def forward(self, x: Tensor, resize_images: bool = True, return_lpips: bool = False) -> Tensor:
        return self.layers(x / 127.5 - 1.0).flatten(1) * 0.01


def save(network: nn.Module, path: Path, seed: int = 0) -> Path:
    """Write the network with random weights of `seed` as a TorchScript file."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = max(int(parameter[0].numel()), 1) if parameter.dim() > 1 else 1
            parameter.copy_(torch.randn(parameter.shape, generator=random) * (1.5 / fan_in) ** 0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(network.eval()).save(str(path))
    return path
