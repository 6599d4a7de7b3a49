"""Features of images or videos and their moments, float64: the input of the distances in `cssgan.metrics.distances`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cssgan.metrics.videos import Floats, Ints


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Features:
    """The output of one network for one set of frames or videos.

    Args:
        values_ND: float64 (N, D), N >= 2.
        extractor: name and digest of the network, for example ``rand3d-1a2b3c4d5e6f``. Features of different networks
            cannot be compared.
    """

    values_ND: Floats
    extractor: str

    def __post_init__(self) -> None:
        shape = self.values_ND.shape
        if self.values_ND.dtype != np.float64 or len(shape) != 2 or shape[0] < 2:
            raise ValueError(f"features: got {self.values_ND.dtype} {shape}, allowed: float64 (N >= 2, D)")
        if not bool(np.isfinite(self.values_ND).all()):
            raise ValueError(f"features of {self.extractor}: got NaN or infinity; were the videos valid uint8?")

    @property
    def count(self) -> int:
        return int(self.values_ND.shape[0])

    def scaled(self, scale_D: Floats) -> Features:
        return Features(values_ND=self.values_ND / scale_D, extractor=self.extractor)

    def rows(self, index: Ints) -> Features:
        return Features(values_ND=self.values_ND[index], extractor=self.extractor)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moments:
    """Mean and covariance of a set of features.

    Args:
        mean_D: float64 (D,).
        covariance_DD: float64 (D, D), divided by N - `ddof`.
        factor_KD: float64 (K, D), K = min(N, D), with factor^T factor = covariance. If N < D it contains the centred
            items, which avoids the root of a singular matrix.
        count: N.
        ddof: 1 as in the code of FID, 0 as in the code of FVD. It changes the values of small sets.
    """

    mean_D: Floats
    covariance_DD: Floats
    factor_KD: Floats
    count: int
    ddof: int
    extractor: str


def moments(features: Features, *, ddof: int) -> Moments:
    """Mean and covariance in float64, in two passes (no cancellation)."""
    if ddof not in (0, 1):
        raise ValueError(f"moments: got ddof {ddof}, allowed: 0 or 1")
    mean = features.values_ND.mean(axis=0)
    centred = features.values_ND - mean
    covariance = centred.T @ centred / (features.count - ddof)
    wide = features.count < features.values_ND.shape[1]
    return Moments(
        mean_D=mean,
        covariance_DD=covariance,
        factor_KD=centred / np.sqrt(features.count - ddof) if wide else _symmetric_root(covariance),
        count=features.count,
        ddof=ddof,
        extractor=features.extractor,
    )


def _symmetric_root(matrix_DD: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix_DD)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def real_scale(real: Features) -> Floats:
    """Standard deviation of each feature over the real set, float64 (D,); 1 for constant features.

    Features of random networks have arbitrary scales. Divided by this, all features have the same weight, and the
    Fréchet distance is in units of the variance of real features.
    """
    deviation = real.values_ND.std(axis=0)
    return np.where(deviation > 1e-12, deviation, 1.0)
