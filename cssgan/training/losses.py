"""The paper's equations (1) to (4) as pure functions, and the vote.

The adversarial game is the non-saturating one with binary cross entropy on logits. The paper gives no weights; they are
in `cssgan.config.LossConfig` and applied in `cssgan.training.step`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def real_loss(logits: Tensor) -> Tensor:
    """Mean cross entropy of calling every sample real: a discriminator's on reals, a generator's on fakes."""
    return functional.softplus(-logits).mean()


def fake_loss(logits: Tensor) -> Tensor:
    """Mean cross entropy of calling every sample fake."""
    return functional.softplus(logits).mean()


def adversarial_d(real: Tensor, fake: Tensor) -> Tensor:
    """A discriminator's loss: equation (1) on image logits, (2) on clip or video logits."""
    return real_loss(real) + fake_loss(fake)


def relativistic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Mean softplus(-(winner - loser)) over pairs: real over fake for discriminators, fake over real for a generator.

    The relativistic pairing game (Jolicoeur-Martineau 2019; Huang et al., NeurIPS 2024), to be used with `penalty`.
    """
    return functional.softplus(fake - real).mean()


def gradient_penalty(logits: Tensor, inputs: Tensor) -> Tensor:
    """Mean over logits of the squared norm of their gradient by what they were told of: R1 on reals, R2 on fakes.

    Each logit must depend on its own part of `inputs` alone. The graph is kept for the gradient of this.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return gradient.square().sum() / logits.numel()


def vote_logits(clip_BS: Tensor, vote_loss: str) -> Tensor:
    """The logits that equation (2) is computed on.

    A majority is piecewise constant and gives no gradient. ``per_clip`` takes every clip's own logit (its mean loss
    bounds the loss of the mean logit from above, and one confident clip cannot hide three bad ones); ``mean_logit``
    takes their mean.
    """
    return clip_BS if vote_loss == "per_clip" else clip_BS.mean(dim=1)


def vote(clip_BS: Tensor) -> Tensor:
    """The majority of the clip discriminators, bool_B: real if more clips are judged real than fake.

    A tie (2-2) is decided by the sign of the mean logit.
    """
    votes_B = (clip_BS > 0).sum(dim=1) * 2 - clip_BS.shape[1]
    return (votes_B > 0) | ((votes_B == 0) & (clip_BS.mean(dim=1) > 0))


def order_loss(logits_BP: Tensor, order_B: Tensor, counts_B: Tensor, total: Tensor | None = None) -> Tensor:
    """Equation (3): cross entropy of the order's rank, mean over the samples that count (0 if none does).

    Args:
        total: divide by this instead of the number that count here: the mean over the parts of a larger batch.
    """
    losses_B = functional.cross_entropy(logits_BP, order_B, reduction="none")
    return (losses_B * counts_B).sum() / (counts_B.sum().clamp(min=1.0) if total is None else total)


def class_loss(class_BVK: Tensor, label_BK: Tensor) -> tuple[Tensor, Tensor]:
    """Mean cross entropy of the class at every place in time, and the share of places where the largest logit is right.

    MoCoGAN's video discriminator names the class (Tulyakov et al., CVPR 2018, section 3.2); not in the paper.
    """
    target_BV = label_BK.argmax(dim=1, keepdim=True).expand(-1, class_BVK.shape[1])
    right_BV = class_BVK.argmax(dim=2) == target_BV
    return functional.cross_entropy(class_BVK.flatten(0, 1), target_BV.flatten()), right_BV.float().mean()


def l1_loss(fake_BSCFHW: Tensor, real_BSCFHW: Tensor, valid_BSF: Tensor, total: Tensor | None = None) -> Tensor:
    """Equation (4): mean absolute difference over all elements of the frames that are valid.

    Args:
        total: divide by this instead of the number of valid frames here: the mean over the parts of a larger batch.
    """
    # Divided at the end: the way back of a mean over pictures writes its divided gradient out in full.
    differences_BSF = (fake_BSCFHW - real_BSCFHW).abs().sum(dim=(2, 4, 5))
    num_values = fake_BSCFHW.shape[2] * fake_BSCFHW.shape[4] * fake_BSCFHW.shape[5]
    num_valid = valid_BSF.sum().clamp(min=1.0) if total is None else total
    return (differences_BSF * valid_BSF).sum() / (num_valid * num_values)
