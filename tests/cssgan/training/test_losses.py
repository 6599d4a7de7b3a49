"""Equations (1) to (4) and the majority vote, against values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cssgan.training import losses


@pytest.mark.parametrize(
    ("logits", "real"),
    [
        ([1.0, 1.0, 1.0, -9.0], True),  # 3-1: the majority decides, regardless of the size of the logits
        ([-1.0, -1.0, -1.0, 9.0], False),
        ([1.0, 1.0, 1.0, 1.0], True),
        ([-1.0, -1.0, -1.0, -1.0], False),
        ([3.0, 1.0, -1.0, -2.0], True),  # 2-2: the mean logit decides
        ([2.0, 1.0, -1.0, -3.0], False),
        ([1.0, 1.0, -1.0, -1.0], False),  # 2-2 and mean 0: not more real than fake
    ],
)
def test_majority_vote(logits: list[float], real: bool) -> None:
    assert losses.majority_vote(torch.tensor([logits]), torch.ones(1, 4)).tolist() == [real]


def test_adversarial_losses_are_non_saturating_cross_entropies() -> None:
    logits = torch.tensor([0.0, 2.0])
    probability = torch.sigmoid(logits)

    torch.testing.assert_close(losses.generator_loss(logits), -probability.log().mean())
    torch.testing.assert_close(
        losses.discriminator_loss(logits, logits.flip(0) - 1),
        -probability.log().mean() - (1 - torch.sigmoid(logits - 1)).log().mean(),
    )
    chance = torch.zeros(5)
    assert float(losses.discriminator_loss(chance, chance)) == pytest.approx(2 * math.log(2))


def test_the_per_clip_loss_bounds_the_loss_of_the_mean_logit() -> None:
    torch.manual_seed(0)
    weight = torch.ones(6, 4)
    for _ in range(50):
        logits = torch.randn(6, 4) * 5
        per_clip = losses.generator_loss(losses.vote_logits(logits, "per_clip", weight))
        assert per_clip >= losses.generator_loss(losses.vote_logits(logits, "mean_logit", weight)) - 1e-6


def test_the_mean_logit_is_one_logit_per_window() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0, 6.0]])

    assert losses.vote_logits(logits, "mean_logit", torch.ones(1, 4)).tolist() == [3.0]
    assert losses.vote_logits(logits, "mean_logit", torch.tensor([[2.0, 1.0, 0.0, 0.0]])).tolist() == pytest.approx(
        [4 / 3]
    )


def test_clips_of_weight_zero_have_no_vote() -> None:
    logits, weight = torch.tensor([[-1.0, 2.0, 9.0, 9.0]]), torch.tensor([[2.0, 0.5, 0.0, 0.0]])

    assert losses.majority_vote(logits, torch.ones(1, 4)).tolist() == [True]
    assert losses.majority_vote(logits, weight).tolist() == [False]  # 1-1: the weighted mean logit decides


def test_weights_apply_to_each_logit() -> None:
    real, fake, weight = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0]), torch.tensor([1.5, 0.5])

    def mean(values: list[float]) -> float:
        return (1.5 * values[0] + 0.5 * values[1]) / 2

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    assert float(losses.generator_loss(fake, weight)) == pytest.approx(mean([softplus(-0.5), softplus(-3.0)]))
    assert float(losses.discriminator_loss(real, fake, weight)) == pytest.approx(
        mean([softplus(-1.0), softplus(2.0)]) + mean([softplus(0.5), softplus(3.0)])
    )
    assert float(losses.relativistic_loss(real, fake, weight)) == pytest.approx(mean([softplus(-0.5), softplus(5.0)]))
    inputs = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    penalty = losses.gradient_penalty((inputs**2).sum(dim=1), inputs, weight)
    assert float(penalty.detach()) == pytest.approx(mean([4.0 * 5.0, 4.0 * 25.0]))
    logits, label = torch.randn(2, 3, 5), torch.eye(5)[:2]
    each = [losses.class_loss(logits[b : b + 1], label[b : b + 1], torch.ones(1)) for b in range(2)]
    loss, accuracy = losses.class_loss(logits, label, weight)
    assert float(loss) == pytest.approx(mean([float(one[0]) for one in each]), rel=1e-5)
    assert float(accuracy) == pytest.approx(mean([float(one[1]) for one in each]))


def test_order_loss_uses_only_unmasked_samples() -> None:
    logits = torch.zeros(3, 24)
    logits[0, 5] = 2.0
    order = torch.tensor([5, 0, 7])

    single = losses.order_loss(logits, order, torch.tensor([1.0, 0.0, 0.0]))
    none = losses.order_loss(logits, order, torch.zeros(3))

    assert float(single) == pytest.approx(math.log(23 + math.exp(2)) - 2)
    assert float(none) == 0.0
    assert float(losses.order_loss(torch.zeros(3, 24), order, torch.ones(3))) == pytest.approx(math.log(24))


def test_l1_is_the_mean_over_all_elements_of_valid_frames() -> None:
    real, fake = torch.zeros(2, 4, 3, 2, 5, 5), torch.zeros(2, 4, 3, 2, 5, 5)
    fake[0, 1, :, 0] = 0.5
    fake[1, 3, :, 1] = 100.0  # a repeated frame
    valid = torch.ones(2, 4, 2)

    valid[1, 3, 1] = 0.0

    assert float(losses.l1_loss(fake, real, valid)) == pytest.approx(0.5 / 15)
    torch.testing.assert_close(losses.l1_loss(fake, real, torch.ones(2, 4, 2)), (fake - real).abs().mean())
    torch.testing.assert_close(losses.l2_loss(fake, real, torch.ones(2, 4, 2)), (fake - real).square().mean())


def test_weights_by_change() -> None:
    real = torch.zeros(1, 2, 3, 2, 2, 2)
    real[0, 1, :, 1, 0, 0] = torch.tensor([0.3, 0.6, 0.9])
    weights = losses.change_weights(real, torch.zeros(1, 3, 2, 2), 2.0)

    assert weights.shape == (1, 2, 1, 2, 2, 2)
    assert float(weights[0, 1, 0, 1, 0, 0]) == pytest.approx(2.2)
    assert float(weights.sum()) == pytest.approx(16 + 1.2)
    fake = real + 0.5
    loss = losses.l1_loss(fake, real, torch.ones(1, 2, 2), None, weights)
    assert float(loss) == pytest.approx(0.5 * (16 + 1.2) / 16)
