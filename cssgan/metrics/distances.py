"""Metrics of sets of features: Fréchet distance (FID, FVD), kernel distance (KID, KVD), Inception Score, manifold metrics.

Pure float64 functions, independent of the network that computed the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from cssgan.metrics.features import Features, Moments
from cssgan.metrics.videos import Floats, Ints, blocks


def _same_extractor(a: Features | Moments, b: Features | Moments) -> None:
    if a.extractor != b.extractor:
        raise ValueError(f"distance: got features of {a.extractor} and of {b.extractor}, allowed: of one network")


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), at least 0 (Heusel et al. 2017; FVD has the same formula).

    tr (A B)^(1/2) is the sum of the singular values of F G^T for any factors F^T F = A and G^T G = B. This needs no
    matrix square root of a product, so it is real and exact for singular covariances too, and N x N work for N < D.

    Raises:
        ValueError: features of different networks, or different `ddof`.
    """
    _same_extractor(a, b)
    if a.ddof != b.ddof:
        raise ValueError(f"frechet distance: got covariances of ddof {a.ddof} and {b.ddof}, allowed: the same")
    shift = float(np.sum((a.mean_D - b.mean_D) ** 2))
    cross = np.linalg.svd(a.factor_KD @ b.factor_KD.T, compute_uv=False).sum()
    return max(0.0, shift + float(np.trace(a.covariance_DD) + np.trace(b.covariance_DD) - 2.0 * cross))


def kernel_distance(a: Features, b: Features) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, unbiased (Binkowski et al. 2018).

    For two independent samples of one distribution it scatters around 0 and can be negative. For two sets that share
    items, or whose items belong together in pairs, it is below 0 if the distributions are equal: the cross term contains
    the pairs.
    """
    _same_extractor(a, b)
    x, y = a.values_ND, b.values_ND
    n, m = len(x), len(y)
    within_x, within_y = (
        (_kernel_sum(z, z) - float((((z * z).sum(axis=1) / z.shape[1] + 1.0) ** 3).sum())) / (len(z) * (len(z) - 1))
        for z in (x, y)
    )
    return within_x + within_y - 2.0 * _kernel_sum(x, y) / (n * m)


def kernel_subsets(
    a: Features, b: Features, *, num_subsets: int = 100, subset_size: int = 1000, seed: int = 2020
) -> tuple[float, float]:
    """Mean and deviation of the kernel distance over random subsets: KID as in torch-fidelity.

    The subsets are those of torch-fidelity's default seed (NumPy's legacy generator, which is frozen), so equal features
    give the same value.

    Args:
        subset_size: maximum number of items of each set. If neither set has more, all items are used, once.
    """
    _same_extractor(a, b)
    size = min(subset_size, a.count, b.count)
    if size == a.count == b.count:
        return kernel_distance(a, b), 0.0
    rng = np.random.RandomState(seed)
    values = [
        kernel_distance(
            a.rows(rng.choice(a.count, size, replace=False)), b.rows(rng.choice(b.count, size, replace=False))
        )
        for _ in range(num_subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


@dataclass(frozen=True, kw_only=True, slots=True)
class InceptionScore:
    """exp(mean KL(p(y|x) || p(y))) over splits of a set (Salimans et al. 2016).

    Args:
        mean, deviation: over the splits; the mean is between 1 and the number of classes.
        divergence: mean KL divergence over the splits in nats, without the exponential.
        num_splits: number of splits.
    """

    mean: float
    deviation: float
    divergence: float
    num_splits: int

    def description(self, seed: int) -> str:
        """The splits for the protocol of a result."""
        return (
            "none, the whole set"
            if self.num_splits == 1
            else f"{self.num_splits} of the videos, shuffled with seed {seed}"
        )


MAX_SPLITS = 10
"""Parts of the Inception Score in the literature, where each has 5,000 items."""


def inception_score(
    logits_NK: Floats, groups_N: Ints | None = None, *, num_splits: int | None = None, seed: int = 2020
) -> InceptionScore:
    """The Inception Score of a set of logits, over random parts of the set.

    The score of a part is at most its number of groups. So parts are made only while each has ten groups or more for each
    of the K classes: min(10, groups // (10 K)), at least 1.

    Args:
        groups_N: index of the video of each item. All frames of a video are in one part, because they are nearly equal.
            None: each item is its own group.
        num_splits: number of parts, at most the number of groups; None: as above.
        seed: of the order of the groups before they are divided. Without groups, the parts are those of torch-fidelity
            with the same seed (its default is 2020).

    Raises:
        ValueError: no items, or logits that are not finite.
    """
    if len(logits_NK) < 1 or not bool(np.isfinite(logits_NK).all()):
        raise ValueError(f"inception score: got {len(logits_NK)} items, allowed: one or more, of finite logits")
    _, groups = np.unique(np.arange(len(logits_NK)) if groups_N is None else groups_N, return_inverse=True)
    num_groups = int(groups.max()) + 1
    if num_splits is None:
        num_splits = max(1, min(MAX_SPLITS, num_groups // (10 * logits_NK.shape[1])))
    num_splits = min(num_splits, num_groups)
    order = np.random.RandomState(seed).permutation(num_groups)
    log_p = log_softmax(logits_NK, axis=1)
    p = np.exp(log_p)
    divergences: list[float] = []
    for split in range(num_splits):
        part = order[split * num_groups // num_splits : (split + 1) * num_groups // num_splits]
        rows = np.isin(groups, part)
        marginal = p[rows].mean(axis=0)
        # A class with probability 0 for all items of the split contributes 0, not 0 x infinity.
        log_marginal = np.log(np.maximum(marginal, np.finfo(np.float64).tiny))
        divergences.append(float((p[rows] * (log_p[rows] - log_marginal)).sum(axis=1).mean()))
    scores = np.maximum(np.exp(divergences), 1.0)  # KL is not negative, but rounding can give -1e-16
    return InceptionScore(
        mean=float(scores.mean()),
        deviation=float(scores.std()),
        divergence=float(np.mean(divergences)),
        num_splits=num_splits,
    )


def _kernel_sum(x_ND: Floats, y_MD: Floats) -> float:
    """Sum of the kernel over all pairs."""
    return sum(float(((x_ND[rows] @ y_MD.T / x_ND.shape[1] + 1.0) ** 3).sum()) for rows in blocks(len(x_ND), 1024))


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifold:
    """Overlap of two sets, measured with balls around each item up to its k-th nearest neighbour.

    Args:
        precision: share of generated items inside the ball of a real one (Kynkaanniemi et al. 2019).
        recall: share of real items inside the ball of a generated one.
        density: mean number of real balls that contain a generated item, / k; about 1, can be higher (Naeem et al. 2020).
        coverage: share of real items whose ball contains a generated one.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def manifold(real: Features, fake: Features, k: int = 5) -> Manifold:
    """Precision, recall, density and coverage. Raises ValueError unless both sets have more than k items."""
    _same_extractor(real, fake)
    if min(real.count, fake.count) <= k:
        raise ValueError(
            f"manifold: got {real.count} real and {fake.count} generated items, allowed: more than k = {k}"
        )
    radius_real, radius_fake = _radii(real.values_ND, k), _radii(fake.values_ND, k)
    balls_over_fake = np.zeros(fake.count)
    fake_hit, real_hit, real_covered = (np.zeros(c, np.bool_) for c in (fake.count, real.count, real.count))
    for rows in blocks(real.count, 512):
        distance = _distances(real.values_ND[rows], fake.values_ND)
        inside_real = distance < radius_real[rows, None]
        balls_over_fake += inside_real.sum(axis=0)
        fake_hit |= inside_real.any(axis=0)
        real_covered[rows] = inside_real.any(axis=1)
        real_hit[rows] = (distance < radius_fake[None, :]).any(axis=1)
    return Manifold(
        precision=float(fake_hit.mean()),
        recall=float(real_hit.mean()),
        density=float(balls_over_fake.mean() / k),
        coverage=float(real_covered.mean()),
    )


def _distances(x_ND: Floats, y_MD: Floats) -> Floats:
    squared = (x_ND**2).sum(axis=1)[:, None] + (y_MD**2).sum(axis=1)[None, :] - 2.0 * x_ND @ y_MD.T
    # Rounding can give 1e-13 for two equal items; its root would move them out of a ball of radius 0.
    return np.sqrt(np.where(squared > 1e-10, squared, 0.0))


def _radii(x_ND: Floats, k: int) -> Floats:
    """Distance of each item to its k-th nearest other item."""
    out = np.empty(len(x_ND))
    for rows in blocks(len(x_ND), 512):
        out[rows] = np.partition(_distances(x_ND[rows], x_ND), k, axis=1)[:, k]
    return out
