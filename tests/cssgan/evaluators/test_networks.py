"""Properties of the networks that do not depend on their weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cssgan.evaluators import inference
from cssgan.evaluators.networks import (
    MARGIN,
    ORDERS,
    FrameClassifier,
    OrderClassifier,
    SyncNet,
    correlation,
    downscale,
    inner_frames,
    shifted_correlation,
)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_correlation_of_one_dimension_is_pearsons_over_common_frames() -> None:
    video, audio = torch.randn(3, 20, 1, dtype=torch.double), torch.randn(4, 20, 1, dtype=torch.double)
    use_video, use_audio = torch.ones(3, 20, dtype=torch.double), torch.ones(4, 20, dtype=torch.double)
    use_video[1, 12:] = 0.0
    use_audio[2, :3] = 0.0

    found = correlation(video, use_video, audio, use_audio).numpy()

    for i in range(3):
        for j in range(4):
            both = (use_video[i] * use_audio[j]).bool()
            expected = np.corrcoef(video[i, both, 0], audio[j, both, 0])[0, 1]
            assert found[i, j] == pytest.approx(expected, abs=1e-9)


def test_correlation_of_constant_embeddings_is_zero_without_gradient() -> None:
    video = torch.ones(2, 10, 3, requires_grad=True)
    found = correlation(video, torch.ones(2, 10), torch.randn(2, 10, 3), torch.ones(2, 10))
    assert found.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    found.sum().backward()
    assert video.grad is not None
    assert bool(torch.isfinite(video.grad).all())


def test_a_late_video_has_a_positive_offset() -> None:
    audio = torch.randn(2, 32, 4)
    late = torch.roll(audio, 3, dims=1)
    use = inner_frames(torch.tensor([32, 32]), 32)
    found = shifted_correlation(late, audio, use, inference.SHIFTS).double().numpy()
    assert inference.offsets(found).tolist() == [3, 3]
    assert found.max(axis=1) == pytest.approx([1.0, 1.0], abs=1e-5)
    in_place = shifted_correlation(late, audio, use, [0])
    torch.testing.assert_close(in_place[:, 0], correlation(late, use, audio, use).diagonal())


def test_inner_frames_do_not_depend_on_padding() -> None:
    network = SyncNet(64, 20).eval()
    video, other = torch.rand(1, 24, 3, 16, 16) * 2 - 1, torch.rand(1, 24, 3, 16, 16) * 2 - 1
    inner = inner_frames(torch.tensor([24]), 24)[0].bool()
    longer = torch.cat([other, video, other], dim=1)
    with torch.inference_mode():
        # `_rows` does not normalize the motion, because the longer window has another strength.
        network.embed_video(video)
        whole, part = (network.video(_rows(network, clip)) for clip in (longer, video))
    torch.testing.assert_close(whole[0, 24:48][inner], part[0][inner], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(whole[0, 24:48][~inner], part[0][~inner], atol=1e-5)
    assert int(inner.sum()) == 24 - 2 * MARGIN


def _rows(network: SyncNet, video: torch.Tensor) -> torch.Tensor:
    change = torch.nn.functional.pad(video.diff(dim=1), (0, 0, 0, 0, 0, 0, 1, 0))
    maps = network.frame(torch.cat([change, change.abs()], dim=2).flatten(0, 1))
    return maps.mean((2, 3)).unflatten(0, video.shape[:2])


def test_order_logits_do_not_depend_on_the_presentation_order() -> None:
    network = OrderClassifier().eval()
    chunks = torch.rand(2, 4, 4, 3, 16, 16)
    logits = network(chunks)
    presented = (2, 0, 3, 1)
    other = network(chunks[:, presented])
    for index, order in enumerate(ORDERS):
        reordered = tuple(presented.index(chunk) for chunk in order)
        torch.testing.assert_close(other[:, ORDERS.index(reordered)], logits[:, index])
    assert float(logits.detach().std(dim=1).min()) > 1e-4


def test_a_static_video_has_no_order_and_no_synchrony() -> None:
    rng = np.random.default_rng(0)
    static = np.repeat(rng.integers(0, 256, (3, 1, 16, 16, 3), np.uint8), 16, axis=1)
    valid = np.full(3, 16, np.int64)

    order = inference.predict_order(OrderClassifier().eval(), static, valid)
    embeddings = inference.embed_videos(SyncNet(64, 20).eval(), static, valid)

    assert order.pairs_N.tolist() == [0.5, 0.5, 0.5]
    assert order.accuracy_N == pytest.approx(1.0 / 24.0)
    assert inference.correlations(embeddings, embeddings) == pytest.approx(np.zeros((3, 3)), abs=1e-6)


def test_order_correctness_by_pairs_and_as_a_whole() -> None:
    logits = np.full((3, 24), -50.0)
    logits[0, 0] = 0.0
    logits[1, ORDERS.index((1, 0, 2, 3))] = 0.0
    logits[2, ORDERS.index((3, 2, 1, 0))] = 0.0
    pairs, accuracy = inference.order_correctness(logits)
    assert pairs == pytest.approx([1.0, 5 / 6, 0.0])
    assert accuracy.tolist() == [1.0, 0.0, 0.0]


def test_order_by_boundary_change_of_a_drift_and_a_static_video() -> None:
    drift = np.zeros((3, 16, 16, 16, 3), np.uint8)
    drift += (10 * np.arange(16, dtype=np.uint8))[None, :, None, None, None]
    drift[1] = 7
    drift[2] = np.concatenate([drift[0, 4:8], drift[0, :4], drift[0, 8:]])
    order = inference.order_by_boundary_change(drift, np.array([16, 16, 15]))
    assert order.pairs_N[:2].tolist() == [1.0, 0.5]
    assert order.accuracy_N[:2] == pytest.approx([1.0, 1.0 / 24.0])
    assert np.isnan(order.pairs_N[2])
    swapped = inference.order_by_boundary_change(drift[2:], np.array([16]))
    assert swapped.pairs_N == pytest.approx([5 / 6])


def test_videos_with_held_frames_have_no_order() -> None:
    videos = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 16, 3), np.uint8)
    order = inference.predict_order(OrderClassifier().eval(), videos, np.array([16, 15]))
    assert np.isnan(order.pairs_N).tolist() == [False, True]


@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_frames_of_any_size(size: int) -> None:
    video = torch.rand(1, 16, 3, size, size)
    assert FrameClassifier(5).eval()(video[0]).shape == (16, 5)
    assert SyncNet(64, 20).embed_video(downscale(video)).shape == (1, 16, SyncNet.EMBEDDING_DIM)
    assert OrderClassifier()(downscale(video).unflatten(1, (4, 4))).shape == (1, 24)


def test_offsets_shift_wins_and_confidences() -> None:
    flat = np.zeros((1, len(inference.SHIFTS)))
    assert inference.offsets(flat).tolist() == [0]
    assert inference.shift_wins(flat).tolist() == [0.5]
    assert inference.confidences(flat).tolist() == [0.0]
    peak = flat.copy()
    peak[0, inference.SHIFTS.index(0)] = 0.9
    assert inference.shift_wins(peak).tolist() == [1.0]
    assert inference.confidences(peak) == pytest.approx([0.9])
