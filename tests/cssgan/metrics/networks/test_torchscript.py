"""Networks from TorchScript files: outputs, and refused files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cssgan.errors import WeightsError
from cssgan.metrics.networks import download, resize
from cssgan.metrics.networks.torchscript import I3d, Inception, Lpips
from tests.cssgan.metrics.networks.torchscripts import I3dLike, InceptionLike, VggLike, save

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3)).astype(np.uint8)
VIDEOS = np.random.default_rng(1).integers(0, 256, (2, 16, 20, 20, 3)).astype(np.uint8)


def test_inception_gives_features_and_logits_without_bias(tmp_path: Path) -> None:
    path = save(InceptionLike(), tmp_path / "inception.pt")
    network = Inception(path)
    rows = network(FRAMES)
    assert rows.shape == (5, 24 + 1008)
    x = resize.tensorflow_bilinear(FRAMES)
    original = torch.jit.load(str(path))
    with torch.inference_mode():
        features, probabilities = original(x, return_features=True), original(x, no_output_bias=True)
    assert rows[:, :24] == pytest.approx(features.double().numpy(), abs=1e-6)
    assert torch.from_numpy(rows[:, 24:]).softmax(1).numpy() == pytest.approx(probabilities.double().numpy(), abs=1e-6)
    assert network.name == f"inception-{download.sha256_of(path)[:12]}-torch-fidelity"


def test_the_resize_method_is_part_of_the_name(tmp_path: Path) -> None:
    path = save(InceptionLike(), tmp_path / "inception.pt")
    assert Inception(path, "clean").name != Inception(path).name
    assert np.abs(Inception(path, "clean")(FRAMES) - Inception(path)(FRAMES)).max() > 1e-3


def test_i3d_equals_the_network_with_its_own_resizing_and_range(tmp_path: Path) -> None:
    path = save(I3dLike(), tmp_path / "i3d.pt")
    original = torch.jit.load(str(path))
    with torch.inference_mode():
        x = torch.from_numpy(VIDEOS).permute(0, 4, 1, 2, 3).float()
        expected = original(x, rescale=True, resize=True, return_features=True)
    assert I3d(path)(VIDEOS) == pytest.approx(expected.double().numpy(), abs=1e-5)
    with pytest.raises(ValueError, match="10 or more"):
        I3d(path)(VIDEOS[:, :8])


def test_lpips_is_zero_for_equal_frames_and_grows(tmp_path: Path) -> None:
    network = Lpips(save(VggLike(), tmp_path / "vgg16.pt"))
    near, far = FRAMES // 2 + 60, 255 - FRAMES
    assert network(FRAMES, FRAMES).tolist() == [0.0] * 5
    assert np.all(network(FRAMES, near) < network(FRAMES, far))


@pytest.mark.parametrize(("expected", "other"), [(Inception, I3dLike()), (I3d, VggLike()), (Lpips, InceptionLike())])
def test_another_network_is_refused(tmp_path: Path, expected: type, other: torch.nn.Module) -> None:
    path = save(other, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=r"other\.pt: is not ") as raised:
        expected(path)
    assert "\n" not in str(raised.value)


def test_a_file_without_a_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_text("<html>not found</html>")
    with pytest.raises(WeightsError, match=r"page\.pt: not a TorchScript"):
        Inception(tmp_path / "page.pt")
    with pytest.raises(WeightsError, match=r"gone\.pt: No such file"):
        I3d(tmp_path / "gone.pt")
