"""The paper's equations (1) to (4) as pure functions, and the vote.

The adversarial game is the non-saturating one with binary cross entropy on logits. The paper gives no weights; they are
in `cssgan.config.LossConfig` and applied in `cssgan.training.step`.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def judged_real(logits: Tensor) -> Tensor:
    """Mean cross entropy of calling every sample real: a discriminator's on reals, a generator's on fakes."""
    return functional.softplus(-logits).mean()


def judged_fake(logits: Tensor) -> Tensor:
    """Mean cross entropy of calling every sample fake."""
    return functional.softplus(logits).mean()


def adversarial_d(real: Tensor, fake: Tensor) -> Tensor:
    """A discriminator's loss: equation (1) on image logits, (2) on clip or video logits."""
    return judged_real(real) + judged_fake(fake)


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


def order_loss(logits_BP: Tensor, order_B: Tensor, counts_B: Tensor) -> Tensor:
    """Equation (3): cross entropy of the order's rank, mean over the samples that count (0 if none does)."""
    losses_B = functional.cross_entropy(logits_BP, order_B, reduction="none")
    return (losses_B * counts_B).sum() / counts_B.sum().clamp(min=1.0)


def l1_loss(fake_BSCFHW: Tensor, real_BSCFHW: Tensor, valid_BSF: Tensor) -> Tensor:
    """Equation (4): mean absolute difference over all elements of the frames that are valid."""
    differences_BSF = (fake_BSCFHW - real_BSCFHW).abs().mean(dim=(2, 4, 5))
    return (differences_BSF * valid_BSF).sum() / valid_BSF.sum().clamp(min=1.0)
