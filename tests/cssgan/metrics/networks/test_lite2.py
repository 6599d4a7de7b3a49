"""EfficientNet-Lite2: the weights of the package are read right, and its distance is a distance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray
from PIL import Image

from cssgan.errors import WeightsError
from cssgan.metrics.networks import lite2
from cssgan.metrics.networks.lite2 import Lite2


@pytest.fixture(scope="module", name="network")
def _network() -> Lite2:
    path = lite2.weights_path()
    assert path is not None, "install the extra `dev`"
    return Lite2(path)


def photo(name: str, size: int = 64) -> NDArray[np.uint8]:
    image = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return np.array(square.resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(("name", "classes"), [("chelsea", {281, 282, 285}), ("coffee", {967}), ("camera", {872})])
def test_photos_have_their_class(network: Lite2, name: str, classes: set[int]) -> None:
    """A cat (tabby, tiger or Egyptian cat), a cup of espresso, a man with a tripod, from photos of 64 x 64."""
    logits = network.logits(photo(name)[None])[0]
    probability = np.exp(logits - logits.max())
    probability /= probability.sum()
    assert int(logits.argmax()) in classes
    assert probability[sorted(classes)].sum() > 0.7


def test_logits_are_those_of_the_packages_own_network(network: Lite2) -> None:
    """Recorded from efficientnet-lite-pytorch 0.1.0 with the same weights, at its size of 260 and (x - 127) / 128."""
    large = Lite2(lite2.weights_path() or Path(), size=260)
    ramp = np.arange(260 * 260 * 3).reshape(1, 260, 260, 3) * 7 % 256
    logits = large.logits(ramp.astype(np.uint8))[0]
    assert logits[[0, 1, 500, 999]] == pytest.approx(RECORDED, abs=1e-4)
    assert network.size == 128


RECORDED = [-1.6751184463500977, -0.014661982655525208, -0.6065322160720825, 0.8290586471557617]


def test_equal_frames_have_equal_features_and_distance_zero(network: Lite2) -> None:
    cat, cup = photo("chelsea"), photo("coffee")
    features = network(np.stack([cup, cat, cup, cup]))
    assert features.shape == (4, lite2.NUM_FEATURES)
    assert np.array_equal(features[0], features[2])
    assert features[1] == pytest.approx(network(cat[None])[0], abs=1e-4)
    assert network.distance(cat[None], cat[None]).tolist() == [0.0]
    assert network.distance(cat[None], cup[None]) == pytest.approx(network.distance(cup[None], cat[None]))


def test_distance_orders_a_shift_before_another_object(network: Lite2) -> None:
    """L1 does not: a cat shifted by two pixels differs more from itself than one in which a third is another picture."""
    cat = photo("chelsea")
    shifted = np.pad(cat, ((0, 0), (2, 0), (0, 0)), mode="edge")[:, :64]
    pasted = cat.copy()
    pasted[20:44, 20:44] = photo("coffee")[20:44, 20:44]
    near, far = network.distance(np.stack([cat, cat]), np.stack([shifted, pasted]))
    assert 0.0 < near < far < 4.0


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({}, path)
    with pytest.raises(WeightsError, match="that of EfficientNet-Lite2 is 9656183e"):
        Lite2(path)


def test_without_the_package_there_is_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite2, "PACKAGE", "no_such_package_of_weights")
    assert lite2.weights_path() is None
