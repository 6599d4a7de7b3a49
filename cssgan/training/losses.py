"""The paper's equations (1) to (4) as pure functions, and the majority vote.

Equations (1) and (2) are adversarial losses: non-saturating GAN with binary cross entropy on logits. The paper gives no
weights for the terms. `cssgan.config.LossConfig` holds the weights; `cssgan.training.step.generator_losses` and
`discriminator_losses` compute the weighted sums.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of `values` with factors whose mean over the whole batch is 1; factors of 1, or None, give the plain mean."""
    return values.mean() if weight is None else (values * weight).mean()


def generator_loss(fake: Tensor, weight: Tensor | None = None) -> Tensor:
    """Generator's part of equation (1) on image logits, (2) on clip or video logits: mean of -log sigmoid(fake).

    Args:
        weight: as in `weighted_mean`, here and in the other losses; broadcast over the logits.
    """
    return weighted_mean(functional.softplus(-fake), weight)


def discriminator_loss(real: Tensor, fake: Tensor, weight: Tensor | None = None) -> Tensor:
    """Discriminator's part of equations (1) and (2): mean of -log sigmoid(real), plus mean of -log(1 - sigmoid(fake))."""
    return weighted_mean(functional.softplus(-real), weight) + weighted_mean(functional.softplus(fake), weight)


def relativistic_loss(real: Tensor, fake: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean softplus(fake - real) over pairs of logits, for discriminators. Swap the logits for the generator.

    Relativistic pairing GAN (Jolicoeur-Martineau 2019; Huang et al., NeurIPS 2024), to be used with `gradient_penalty`.
    """
    return weighted_mean(functional.softplus(fake - real), weight)


def mismatch_loss(real_BS: Tensor, wrong_BS: Tensor, mask_BS: Tensor, gan: str) -> Tensor:
    """Discriminator's loss on real clips with a wrong sound, as fakes.

    Matching-aware discriminator (Reed et al., ICML 2016, section 4.2); not in the paper.

    Args:
        real_BS, wrong_BS: logits of the same clips with their own and with a wrong sound.
        mask_BS: 1: counts; the mean is over all clips, so that parts of a batch average to the whole batch.
        gan: ``bce``: mean of -log(1 - sigmoid(wrong)); ``rpgan``: `relativistic_loss` of the pairs.
    """
    return generator_loss(-wrong_BS, mask_BS) if gan == "bce" else relativistic_loss(real_BS, wrong_BS, mask_BS)


def gradient_penalty(logits: Tensor, inputs: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over logits of the squared norm of their gradient with respect to `inputs`: R1 on reals, R2 on fakes.

    Each logit must depend on its own part of `inputs` alone. The result is differentiable.
    """
    weighted = logits if weight is None else logits * weight.sqrt()
    (gradient,) = torch.autograd.grad(weighted.sum(), inputs, create_graph=True)
    return gradient.square().sum() / logits.numel()


def vote_logits(clip_BS: Tensor, vote_loss: str, weight_BS: Tensor) -> Tensor:
    """Differentiable replacement of the majority vote: the logits that equation (2) is computed on.

    The majority is piecewise constant and has no gradient.

    * ``per_clip``: the logit of every clip, (B, S). The mean loss is an upper bound of the loss of the mean logit, and
      one confident clip cannot outweigh three negative logits.
    * ``mean_logit``: the mean logit of each window, (B,), with the clips weighted by `weight_BS`.
    """
    return clip_BS if vote_loss == "per_clip" else (clip_BS * (weight_BS / weight_BS.mean(1, keepdim=True))).mean(1)


def majority_vote(clip_BS: Tensor, weight_BS: Tensor) -> Tensor:
    """bool_B: whether more clips of a window have a positive (real) logit than not. The mean logit decides ties.

    Args:
        weight_BS: clips of weight 0 have no vote; the mean logit is weighted.
    """
    votes_BS = weight_BS > 0
    balance_B = ((clip_BS > 0) & votes_BS).sum(dim=1) * 2 - votes_BS.sum(dim=1)
    return (balance_B > 0) | ((balance_B == 0) & ((clip_BS * weight_BS).mean(dim=1) > 0))


def order_loss(logits_BP: Tensor, order_B: Tensor, mask_B: Tensor, denominator: Tensor | None = None) -> Tensor:
    """Equation (3): cross entropy of the order's rank, mean over the samples with mask 1 (0 if there are none).

    Args:
        denominator: replaces the sum of `mask_B`; for parts of a larger batch.
    """
    losses_B = functional.cross_entropy(logits_BP, order_B, reduction="none")
    return (losses_B * mask_B).sum() / (mask_B.sum().clamp(min=1.0) if denominator is None else denominator)


def class_loss(class_BVK: Tensor, label_BK: Tensor, weight_B: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy of the class over all positions in time, and the accuracy.

    The video discriminator of MoCoGAN predicts the class (Tulyakov et al., CVPR 2018, section 3.2); not in the paper.
    """
    target_BV = label_BK.argmax(dim=1, keepdim=True).expand(-1, class_BVK.shape[1])
    correct_BV = (class_BVK.argmax(dim=2) == target_BV).float()
    losses = functional.cross_entropy(class_BVK.flatten(0, 1), target_BV.flatten(), reduction="none")
    weight_BV = weight_B[:, None].expand_as(correct_BV)
    return weighted_mean(losses, weight_BV.flatten()), weighted_mean(correct_BV, weight_BV)


def l1_loss(
    fake_BSCFHW: Tensor,
    real_BSCFHW: Tensor,
    valid_BSF: Tensor,
    denominator: Tensor | None = None,
    weight_BSCFHW: Tensor | None = None,
) -> Tensor:
    """Equation (4): mean absolute difference over all elements of the valid frames.

    Args:
        denominator: replaces the number of valid frames; for parts of a larger batch.
        weight_BSCFHW: factor of each element; its channel axis may be 1.
    """
    return _mean_of_valid((fake_BSCFHW - real_BSCFHW).abs(), valid_BSF, denominator, weight_BSCFHW)


def l2_loss(
    fake_BSCFHW: Tensor,
    real_BSCFHW: Tensor,
    valid_BSF: Tensor,
    denominator: Tensor | None = None,
    weight_BSCFHW: Tensor | None = None,
) -> Tensor:
    """Mean squared difference; arguments as in `l1_loss`. Not in the paper.

    L1 is smallest at the median. What comes once, at a time that the generator cannot tell yet, has the median "nothing",
    so L1 gives no reason to paint it. The squared error is smallest at the mean.
    """
    return _mean_of_valid((fake_BSCFHW - real_BSCFHW).square(), valid_BSF, denominator, weight_BSCFHW)


def change_weights(real_BSCFHW: Tensor, first_BCHW: Tensor, weight: float) -> Tensor:
    """1 + weight x the mean over the channels of |real - first frame of the window|, (B, S, 1, F, H, W)."""
    change = (real_BSCFHW - first_BCHW[:, None, :, None]).abs().mean(dim=2, keepdim=True)
    return change.mul_(weight).add_(1.0)


def _mean_of_valid(
    values_BSCFHW: Tensor, valid_BSF: Tensor, denominator: Tensor | None, weight_BSCFHW: Tensor | None
) -> Tensor:
    if weight_BSCFHW is not None:
        values_BSCFHW = values_BSCFHW * weight_BSCFHW
    # Sum first, divide last: the backward pass of a mean would write out the divided gradient of every pixel.
    sums_BSF = values_BSCFHW.sum(dim=(2, 4, 5))
    num_values = values_BSCFHW.shape[2] * values_BSCFHW.shape[4] * values_BSCFHW.shape[5]
    num_valid = valid_BSF.sum().clamp(min=1.0) if denominator is None else denominator
    return (sums_BSF * valid_BSF).sum() / (num_valid * num_values)
