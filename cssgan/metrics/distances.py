"""Metrics of sets of features: Fréchet distance (FID, FVD), kernel distance (KID, KVD), Inception Score, manifold metrics.

Pure float64 functions, independent of the network that computed the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from cssgan.metrics.features import Features, Moments, moments
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


def frechet_at_infinity(a: Features, b: Features, *, ddof: int, seed: int, num_sizes: int = 8) -> tuple[float, float]:
    """The Fréchet distance extrapolated to infinite sets: a line over 1 / N, evaluated at 0 (Chong & Forsyth 2020).

    The distance is computed on random subsets of N / 4 .. N items, the same rows of both sets, and the line is fitted
    by least squares.

    Returns:
        (value at 1 / N = 0, its standard error). A value below 0 is within the noise.

    Raises:
        ValueError: fewer than 16 items, or unequal counts.
    """
    n = a.count
    if n < 16 or b.count != n:
        raise ValueError(f"frechet at infinity: got {n} and {b.count} items, allowed: equal counts, 16 or more")
    rng = np.random.default_rng(seed)
    sizes = np.unique(np.linspace(n // 4, n, num_sizes).astype(np.int64))
    values = np.empty(len(sizes))
    for index, size in enumerate(sizes):
        rows = np.sort(rng.permutation(n)[:size])
        values[index] = frechet_distance(moments(a.rows(rows), ddof=ddof), moments(b.rows(rows), ddof=ddof))
    design = np.stack([np.ones(len(sizes)), 1.0 / sizes], axis=1)
    solution, *_ = np.linalg.lstsq(design, values, rcond=None)
    residual = values - design @ solution
    spread = residual @ residual / (len(sizes) - 2) * np.linalg.inv(design.T @ design)[0, 0]
    return float(solution[0]), float(np.sqrt(spread))


def kernel_distance(a: Features, b: Features, *, paired: bool) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / D + 1)^3, unbiased (Binkowski et al. 2018).

    Args:
        paired: row n of `b` was generated from row n of `a`. Pairs (n, n) are then excluded from the cross term as well
            (the paired U-statistic, Gretton et al. 2012, lemma 6). The value is unbiased, and 0 for equal sets.

    The value is unbiased: for equal distributions it scatters around 0 and can be negative.
    """
    _same_extractor(a, b)
    x, y = a.values_ND, b.values_ND
    if paired and len(x) != len(y):
        raise ValueError(f"paired kernel distance: got {len(x)} and {len(y)} items, allowed: equal counts")
    within_x, diagonal_x = _kernel_sums(x, x)
    within_y, diagonal_y = _kernel_sums(y, y)
    cross, diagonal = _kernel_sums(x, y)
    n, m = len(x), len(y)
    same = (within_x - diagonal_x) / (n * (n - 1)) + (within_y - diagonal_y) / (m * (m - 1))
    return same - (2.0 * (cross - diagonal) / (n * (n - 1)) if paired else 2.0 * cross / (n * m))


def kernel_subsets(
    a: Features, b: Features, *, num_subsets: int = 100, subset_size: int = 1000, seed: int = 2020
) -> tuple[float, float]:
    """Mean and deviation of the unpaired kernel distance over random subsets: KID as in torch-fidelity.

    The subsets are those of torch-fidelity's default seed (NumPy's legacy generator, which is frozen), so equal features
    give the same value.

    Args:
        subset_size: maximum number of items of each set.
    """
    _same_extractor(a, b)
    size = min(subset_size, a.count, b.count)
    rng = np.random.RandomState(seed)
    values = [
        kernel_distance(
            a.rows(rng.choice(a.count, size, replace=False)), b.rows(rng.choice(b.count, size, replace=False)),
            paired=False,
        )
        for _ in range(1 if size == a.count == b.count else num_subsets)
    ]  # fmt: skip
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


def inception_score(logits_NK: Floats, groups_N: Ints | None = None, *, num_splits: int = 10) -> InceptionScore:
    """The Inception Score of a set of logits.

    Args:
        groups_N: index of the video of each item. All frames of a video are in one split, because they are nearly equal.
            None: each item is its own group, and the splits are those of torch-fidelity without shuffling.

    Raises:
        ValueError: no items, or logits that are not finite.
    """
    if len(logits_NK) < 1 or not bool(np.isfinite(logits_NK).all()):
        raise ValueError(f"inception score: got {len(logits_NK)} items, allowed: one or more, of finite logits")
    _, groups = np.unique(np.arange(len(logits_NK)) if groups_N is None else groups_N, return_inverse=True)
    num_groups = int(groups.max()) + 1
    num_splits = min(num_splits, num_groups)
    log_p = log_softmax(logits_NK, axis=1)
    p = np.exp(log_p)
    divergences: list[float] = []
    for split in range(num_splits):
        rows = (groups >= split * num_groups // num_splits) & (groups < (split + 1) * num_groups // num_splits)
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


def _kernel_sums(x_ND: Floats, y_MD: Floats) -> tuple[float, float]:
    """Sum of the kernel over all pairs, and over pairs (n, n) with n below both counts."""
    total = 0.0
    for rows in blocks(len(x_ND), 1024):
        total += float(((x_ND[rows] @ y_MD.T / x_ND.shape[1] + 1.0) ** 3).sum())
    n = min(len(x_ND), len(y_MD))
    diagonal = (np.einsum("nd,nd->n", x_ND[:n], y_MD[:n]) / x_ND.shape[1] + 1.0) ** 3
    return total, float(diagonal.sum())


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
