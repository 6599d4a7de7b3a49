"""Coverage of the intervals of `cssgan study`: simulated evaluations of models whose true difference is known.

A simulated song differs from the next one, and clips of a song are alike: of the variance of a clip's difference between
two models, 45 % is between songs (measured for L1 and SSIM: .40 to .49). Every training run (seed) has an effect of its own.
All effects are in units of the standard deviation of one clip's difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import cycle, product
from typing import Any, Literal

import numpy as np
from scipy import stats

from cssgan.metrics.distances import frechet_distance
from cssgan.metrics.features import Features, moments, real_scale
from cssgan.metrics.per_video import PerVideo
from cssgan.metrics.statistics import bootstrap_weights, crossed_difference, holm, pseudo_values
from cssgan.metrics.videos import Floats, Ints
from cssgan.study.measures import MEASURES, Measure
from cssgan.study.significance import LEVEL, compare

Kind = Literal["mean", "win rate", "ratio", "kernel distance"]
KINDS: tuple[Kind, ...] = ("mean", "win rate", "ratio", "kernel distance")
MEASURE_OF: dict[Kind, str] = {
    "mean": "ssim", "win rate": "sync_auc", "ratio": "l1_over_copy_first", "kernel distance": "rfd_3d_kd64",
}  # fmt: skip
_BY_NAME = {measure.name: measure for measure in MEASURES}
LOWEST_COVERAGE = 0.90
HIGHEST_ERROR = 0.05
DIMENSIONS = 64
METHOD = "seeds and songs, Student's t"
CLIPS = "bootstrap of clips"
NESTED = "bootstrap of seeds, songs, clips"
WIDENED = "the same, sqrt(k / (k - 1)) wider"
BCA = "BCa bootstrap of songs"
METHODS = (METHOD, CLIPS, NESTED, WIDENED, BCA)
Interval = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """The evaluation that is simulated.

    Args:
        seed_effect: standard deviation of the effect of a training run.
        interaction: standard deviation of the effect of a training run on one song.
        icc: share of the variance of one clip's difference that is between songs.
        skewed: the effects of songs on the difference have an exponential distribution (skewness 2) instead of a normal one:
            the first model has all of their variance, so that they are not symmetric.
    """

    num_songs: int = 10
    num_seeds: int = 3
    seed_effect: float = 0.2
    interaction: float = 0.1
    icc: float = 0.45
    skewed: bool = False
    min_clips: int = 20
    max_clips: int = 30

    @property
    def title(self) -> str:
        shape = ", songs skewed" if self.skewed else ""
        return f"{self.num_songs} songs, {self.num_seeds} seeds, seed effect {self.seed_effect:g}{shape}"


DESIGNS = (
    Design(seed_effect=0.0),
    Design(),
    Design(seed_effect=0.5),
    Design(seed_effect=0.0, skewed=True),
    Design(skewed=True),
    Design(num_songs=20),
    Design(num_songs=3),
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Simulated:
    """Runs (one per seed) of two models, and the true difference of a measure."""

    first: tuple[PerVideo, ...]
    second: tuple[PerVideo, ...]
    truth: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Songs:
    """Song of each clip, and random effects."""

    design: Design
    rng: np.random.Generator
    song_N: Ints

    @classmethod
    def sample(cls, design: Design, rng: np.random.Generator) -> _Songs:
        counts = rng.integers(design.min_clips, design.max_clips + 1, design.num_songs)
        return cls(design=design, rng=rng, song_N=np.repeat(np.arange(design.num_songs), counts))

    def song_effect(self, deviation: float, *shape: int) -> Floats:
        """Per clip, equal within a song, float64 (N, ...)."""
        size = (self.design.num_songs, *shape)
        effect = self.rng.exponential(size=size) - 1.0 if self.design.skewed else self.rng.standard_normal(size)
        return deviation * effect[self.song_N]

    def song_deviations(self, deviation: float) -> tuple[float, float]:
        """Standard deviations of the effects of songs on two models."""
        return (float(np.sqrt(2)) * deviation, 0.0) if self.design.skewed else (deviation, deviation)

    def normal(self, deviation: float, *shape: int) -> Floats:
        """Per clip, float64 (N, ...)."""
        return deviation * self.rng.standard_normal((len(self.song_N), *shape))

    def run_effects(self, scale: float = 1.0) -> list[Floats]:
        """Effect of each training run on each clip: one for all clips, and one for each song."""
        design = self.design
        return [
            scale * design.seed_effect * float(self.rng.standard_normal())
            + scale * design.interaction * self.rng.standard_normal(design.num_songs)[self.song_N]
            for _ in range(design.num_seeds)
        ]

    def run(self, values: dict[str, Floats], real_ND: Floats | None = None, fake_ND: Floats | None = None) -> PerVideo:
        features = np.zeros((len(self.song_N), 1)) if real_ND is None else real_ND
        return PerVideo(
            keys=tuple(f"clip{n}" for n in range(len(self.song_N))),
            sources=tuple(f"song{n}" for n in self.song_N),
            values=values,
            real_ND=features,
            fake_ND=features if fake_ND is None else fake_ND,
            extractor="simulated",
        )


def simulate_models(effects: Sequence[float], design: Design, rng: np.random.Generator) -> list[tuple[PerVideo, ...]]:
    """Runs of several models in a mean over videos; `effects` are their true values. Skewed songs: two models."""
    songs = _Songs.sample(design, rng)
    base = songs.normal(1.0) + songs.song_effect(2.0)  # difficult and easy clips: cancels
    models: list[tuple[PerVideo, ...]] = []
    song_deviations = songs.song_deviations(np.sqrt(design.icc / 2))  # two models with half of the variance each
    for effect, deviation in zip(effects, cycle(song_deviations)):
        model = effect + songs.song_effect(deviation) + songs.normal(np.sqrt((1 - design.icc) / 2))
        models.append(tuple(songs.run({"ssim": base + model + run}) for run in songs.run_effects()))
    return models


def _simulate_mean(effect: float, design: Design, rng: np.random.Generator) -> Simulated:
    first, second = simulate_models((effect, 0.0), design, rng)
    return Simulated(first=first, second=second, truth=effect)


def _simulate_win_rate(effect: float, design: Design, rng: np.random.Generator) -> Simulated:
    """Scores of every video with every audio signal of its song; the mean score with the own one is higher by a shift."""
    songs = _Songs.sample(design, rng)
    audio_sd, noise_sd = 0.5, 1.0
    negative_NN = (songs.song_N[:, None] == songs.song_N[None, :]) & ~np.eye(len(songs.song_N), dtype=np.bool_)
    audio_N = songs.normal(audio_sd)
    variance = 2 * audio_sd**2 + 2 * noise_sd**2 + design.seed_effect**2 + design.interaction**2
    sides: list[tuple[PerVideo, ...]] = []
    truths: list[float] = []
    for shift, song_sd in zip((0.6 + effect, 0.6), songs.song_deviations(0.9), strict=True):
        song_effect, runs = songs.song_effect(song_sd), list[PerVideo]()
        noise_NN = rng.normal(0.0, noise_sd, negative_NN.shape)
        for run in songs.run_effects():
            own_N = shift + song_effect + run + audio_N + np.diag(noise_NN)
            wins = (own_N[:, None] > audio_N[None, :] + noise_NN) * negative_NN
            runs.append(songs.run({"sync_auc": wins.sum(axis=1) / negative_NN.sum(axis=1)}))
        sides.append(tuple(runs))
        truths.append(_win_rate(shift, variance, song_sd, skewed=design.skewed))
    return Simulated(first=sides[0], second=sides[1], truth=truths[0] - truths[1])


def _win_rate(shift: float, variance: float, song_sd: float, *, skewed: bool) -> float:
    """Probability that a normal difference with this mean and variance, plus the effect of the song, is above 0."""
    if not skewed:
        return float(stats.norm.cdf(shift / np.sqrt(variance + song_sd**2)))
    # The exponential effect of the song is integrated at its quantiles.
    songs = -np.log1p(-(np.arange(20_000) + 0.5) / 20_000) - 1.0
    return float(stats.norm.cdf((shift + song_sd * songs) / np.sqrt(variance)).mean())


def _simulate_ratio(effect: float, design: Design, rng: np.random.Generator) -> Simulated:
    """L1 = L1 of the held first frame x a factor, all with logarithms that vary between songs, clips and runs."""
    songs = _Songs.sample(design, rng)
    held = np.exp(songs.song_effect(0.4) + songs.normal(0.4))
    unit = 0.15
    clip_sd = unit * np.sqrt((1 - design.icc) / 2)
    sides: list[tuple[PerVideo, ...]] = []
    truths: list[float] = []
    song_deviations = songs.song_deviations(unit * np.sqrt(design.icc / 2))
    for log_factor, song_sd in zip((unit * effect, 0.0), song_deviations, strict=True):
        model = log_factor + songs.song_effect(song_sd) + songs.normal(clip_sd)
        sides.append(
            tuple(
                songs.run({"l1": held * np.exp(model + run), "copy_first_l1": held}) for run in songs.run_effects(unit)
            )
        )
        normal = clip_sd**2 + unit**2 * (design.seed_effect**2 + design.interaction**2)
        of_songs = np.exp(-song_sd) / (1 - song_sd) if design.skewed else np.exp(song_sd**2 / 2)
        truths.append(float(np.exp(log_factor + normal / 2) * of_songs))
    return Simulated(first=sides[0], second=sides[1], truth=truths[0] - truths[1])


def _simulate_features(
    effect: float, design: Design, rng: np.random.Generator, distance: Callable[[Floats, Floats], float]
) -> Simulated:
    """Features of generated videos: those of the real ones, shifted and noisy; a worse model is further
    away and noisier. Each training run shifts them in one direction.

    Args:
        distance: true distance of real features (mean 0, variance 1) from features of this mean and variance.
    """
    songs = _Songs.sample(replace(design, skewed=False), rng)
    real_ND = songs.song_effect(np.sqrt(design.icc), DIMENSIONS) + songs.normal(np.sqrt(1 - design.icc), DIMENSIONS)
    direction_D = np.repeat([1.0, 0.0], DIMENSIONS // 2)
    sides: list[tuple[PerVideo, ...]] = []
    truths: list[float] = []
    for shift, noise in ((0.4 * (1 + effect), 0.5 * (1 + effect)), (0.4, 0.5)):
        song_sd, clip_sd = noise * np.sqrt(design.icc), noise * np.sqrt(1 - design.icc)
        changed = real_ND + songs.song_effect(song_sd, DIMENSIONS) + songs.normal(clip_sd, DIMENSIONS)
        shifts = shift + 0.4 * design.seed_effect * rng.standard_normal(design.num_seeds)
        sides.append(tuple(songs.run({}, real_ND, changed + each * direction_D) for each in shifts))
        truths.append(_mean_over_runs(distance, shift, 0.4 * design.seed_effect, noise))
    return Simulated(first=sides[0], second=sides[1], truth=truths[0] - truths[1])


@cache
def _mean_over_runs(distance: Callable[[Floats, Floats], float], shift: float, deviation: float, noise: float) -> float:
    """Mean of the true distance over training runs whose shift is normal, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    direction_D, variance_D = np.repeat([1.0, 0.0], DIMENSIONS // 2), np.full(DIMENSIONS, 1.0 + noise**2)
    each = [distance((shift + deviation * node) * direction_D, variance_D) for node in nodes]
    return float(np.dot(weights, each) / weights.sum())


def _simulate_kernel(effect: float, design: Design, rng: np.random.Generator) -> Simulated:
    return _simulate_features(effect, design, rng, true_kernel_distance)


def simulate_frechet(effect: float, design: Design, rng: np.random.Generator) -> Simulated:
    """As for the kernel distance, with the true difference of Fréchet distances."""
    return _simulate_features(effect, design, rng, true_frechet_distance)


def true_frechet_distance(mean_D: Floats, variance_D: Floats) -> float:
    """Fréchet distance of N(0, 1) from N(mean, variance), independent features."""
    return float((mean_D**2 + (np.sqrt(variance_D) - 1.0) ** 2).sum())


def true_kernel_distance(mean_D: Floats, variance_D: Floats) -> float:
    """E k(x, x') + E k(y, y') - 2 E k(x, y) for x ~ N(0, 1) and y ~ N(mean, variance), k = (x.y / D + 1)^3."""
    zero, one = np.zeros_like(mean_D), np.ones_like(variance_D)

    def expected(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> float:
        count = len(a[0])
        (first_a, second_a, third_a), (first_b, second_b, third_b) = _moments(*a), _moments(*b)
        return float(
            1.0
            + 3.0 * (first_a * first_b).sum() / count
            + 3.0 * (second_a * second_b).sum() / count**2
            + (third_a * third_b).sum() / count**3
        )

    real, fake = (zero, one), (mean_D, variance_D)
    return expected(real, real) + expected(fake, fake) - 2.0 * expected(real, fake)


def _moments(mean_D: Floats, variance_D: Floats) -> tuple[Floats, Floats, Floats]:
    """First, second and third moments of a normal distribution with independent features."""
    covariance = np.diag(variance_D)
    second = np.outer(mean_D, mean_D) + covariance
    third = np.einsum("i,j,k->ijk", mean_D, mean_D, mean_D)
    for form in ("ij,k->ijk", "ik,j->ijk", "jk,i->ijk"):
        third = third + np.einsum(form, covariance, mean_D)
    return mean_D, second, third


_SIMULATE: dict[Kind, Callable[[float, Design, np.random.Generator], Simulated]] = {
    "mean": _simulate_mean,
    "win rate": _simulate_win_rate,
    "ratio": _simulate_ratio,
    "kernel distance": _simulate_kernel,
}


def simulate(kind: Kind, effect: float, design: Design, rng: np.random.Generator) -> Simulated:
    """One evaluation of two models.

    Args:
        effect: advantage of the first model; 0: equal models.
    """
    return _SIMULATE[kind](effect, design, rng)


def intervals(measure: Measure, found: Simulated, rng: np.random.Generator, resamples: int) -> dict[str, Interval]:
    """The interval of `cssgan study`, and with `resamples` above 0 those of other methods, by name."""
    difference = compare(found.first, found.second, measure)
    out = {METHOD: difference.interval}
    if not resamples:
        return out
    sides = [_columns(measure, runs) for runs in (found.first, found.second)]
    _, song_N = np.unique(np.array(found.first[0].sources), return_inverse=True)
    members = [np.flatnonzero(song_N == song) for song in range(int(song_N.max()) + 1)]

    def values(weights_RN: Floats, *, resample_seeds: bool) -> Floats:
        """The difference in each resample of videos, float64 (R,)."""
        each: list[Floats] = []
        for top_SN, bottom_SN in sides:
            runs_RS = (weights_RN @ top_SN.T) / (weights_RN @ bottom_SN.T)
            if resample_seeds:
                chosen = rng.integers(runs_RS.shape[1], size=runs_RS.shape)
                runs_RS = np.take_along_axis(runs_RS, chosen, axis=1)
            each.append(runs_RS.mean(axis=1))
        return each[0] - each[1]

    clips = values(bootstrap_weights(len(song_N), rng, resamples), resample_seeds=False)
    # A song that is chosen twice gives twice as many clips, again sampled at random.
    nested_RN = np.zeros((resamples, len(song_N)))
    for chosen_R, rows in zip(bootstrap_weights(len(members), rng, resamples).T, members, strict=True):
        nested_RN[:, rows] = rng.multinomial(chosen_R.astype(np.int64) * len(rows), np.full(len(rows), 1 / len(rows)))
    nested = values(nested_RN, resample_seeds=True)
    out[CLIPS], out[NESTED] = _quantiles(clips), _quantiles(nested)
    num_seeds = len(found.first)
    wider = float(np.sqrt(num_seeds / (num_seeds - 1)))
    center = difference.value
    low, high = out[NESTED]
    out[WIDENED] = (center + wider * (low - center), center + wider * (high - center))
    if len(measure.columns) == 1:
        by_song = values((song_N[None, :] == np.arange(len(members))[:, None]).astype(np.float64), resample_seeds=False)
        bca = stats.bootstrap((by_song,), np.mean, n_resamples=999, method="BCa", rng=rng).confidence_interval
        out[BCA] = (float(bca.low), float(bca.high))
    return out


def _columns(measure: Measure, runs: Sequence[PerVideo]) -> tuple[Floats, Floats]:
    top = np.stack([run.values[measure.columns[0]] for run in runs])
    bottom = (
        np.stack([run.values[measure.columns[1]] for run in runs]) if len(measure.columns) > 1 else np.ones_like(top)
    )
    return top, bottom


def _quantiles(values: Floats) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """Share of simulations whose interval contains the true difference, and mean width, by method.

    Args:
        num_simulations: of the method of `cssgan study`; the others are computed in every fifth.
    """

    kind: str
    design: Design
    effect: float
    num_simulations: int
    coverage: dict[str, float]
    width: dict[str, float]


def measure_coverage(
    kind: Kind, design: Design, *, num_simulations: int, seed: int, effect: float = 0.5, resamples: int = 0
) -> Coverage:
    """Coverage of the 95 % intervals of one kind of measure in one design.

    Args:
        resamples: of the other methods, which are computed in every fifth simulation; 0: none.
    """
    rng = np.random.default_rng(seed)
    measure = _BY_NAME[MEASURE_OF[kind]]
    found: list[tuple[float, dict[str, Interval]]] = []
    for number in range(num_simulations):
        simulated = simulate(kind, effect, design, rng)
        others = resamples if kind != "kernel distance" and number % 5 == 0 else 0
        found.append((simulated.truth, intervals(measure, simulated, rng, others)))
    return _coverage(kind, design, effect, found)


def _coverage(kind: str, design: Design, effect: float, found: Sequence[tuple[float, dict[str, Interval]]]) -> Coverage:
    names = list(found[0][1])
    return Coverage(
        kind=kind,
        design=design,
        effect=effect,
        num_simulations=len(found),
        coverage={
            name: float(np.mean([each[name][0] <= truth <= each[name][1] for truth, each in found if name in each]))
            for name in names
        },
        width={
            name: float(np.mean([each[name][1] - each[name][0] for _, each in found if name in each])) for name in names
        },
    )


def frechet_coverage(
    design: Design, *, num_simulations: int, seed: int, effect: float = 0.5, resamples: int = 60
) -> tuple[Coverage, float]:
    """Coverage for the difference of two Fréchet distances by bootstrap and by jackknife, neither of which is in use.

    Returns:
        (coverage, share of the simulations in which the bootstrap interval does not contain its own point estimate)
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[float, dict[str, Interval]]] = []
    outside = 0
    for _ in range(num_simulations):
        simulated = simulate_frechet(effect, design, rng)
        value, bootstrapped = bootstrap_frechet(simulated, rng, resamples)
        outside += not bootstrapped[0] <= value <= bootstrapped[1]
        sides = [
            np.stack([_frechet_pseudo_values(run) for run in side]) for side in (simulated.first, simulated.second)
        ]
        found.append(
            (
                simulated.truth,
                {"jackknife of songs": crossed_difference(sides[0], sides[1]).interval, CLIPS: bootstrapped},
            )
        )
    return _coverage("Fréchet distance", design, effect, found), outside / num_simulations


def frechet(run: PerVideo, index: Ints) -> float:
    """Fréchet distance of some videos of a run, in features scaled by their real videos."""
    real, fake = (Features(values_ND=values[index], extractor=run.extractor) for values in (run.real_ND, run.fake_ND))
    scale = real_scale(real)
    return frechet_distance(moments(real.scaled(scale), ddof=1), moments(fake.scaled(scale), ddof=1))


def bootstrap_frechet(found: Simulated, rng: np.random.Generator, resamples: int) -> tuple[float, Interval]:
    """The difference of two Fréchet distances, and its percentile interval over resamples of clips."""
    count = len(found.first[0].keys)

    def value(index: Ints) -> float:
        sides = [float(np.mean([frechet(run, index) for run in side])) for side in (found.first, found.second)]
        return sides[0] - sides[1]

    return value(np.arange(count)), _quantiles(
        np.array([value(rng.integers(count, size=count)) for _ in range(resamples)])
    )


def _frechet_pseudo_values(run: PerVideo) -> Floats:
    names, song_N = np.unique(np.array(run.sources), return_inverse=True)
    without = [frechet(run, np.flatnonzero(song_N != song)) for song in range(len(names))]
    return pseudo_values(frechet(run, np.arange(len(song_N))), np.array(without))


@dataclass(frozen=True, kw_only=True, slots=True)
class Conclusions:
    """How often a claim "better than each of the others" and its parts get which result.

    Args:
        effects: advantage of the first model over each of the others.
        any_significant: share of simulations with one or more significant differences, in either direction.
        holds: share in which the claim holds.
        significant: share of significant differences, mean over the others.
    """

    effects: tuple[float, ...]
    design: Design
    num_simulations: int
    any_significant: float
    holds: float
    significant: float


def measure_conclusions(effects: Sequence[float], design: Design, *, num_simulations: int, seed: int) -> Conclusions:
    """Results of a claim about the first model and `len(effects)` others, after Holm's correction."""
    rng = np.random.default_rng(seed)
    measure = _BY_NAME[MEASURE_OF["mean"]]
    wins: list[list[bool]] = []
    significant: list[list[bool]] = []
    for _ in range(num_simulations):
        first, *others = simulate_models((0.0, *(-effect for effect in effects)), design, rng)
        found = [compare(first, other, measure) for other in others]
        rejected = [p_value < LEVEL for p_value in holm([one.p_value for one in found])]
        significant.append(rejected)
        wins.append([one.value > 0 and is_rejected for one, is_rejected in zip(found, rejected, strict=True)])
    return Conclusions(
        effects=tuple(effects),
        design=design,
        num_simulations=num_simulations,
        any_significant=float(np.mean([any(row) for row in significant])),
        holds=float(np.mean([all(row) for row in wins])),
        significant=float(np.mean(significant)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CoverageReport:
    """All results.

    Args:
        frechet_outside: share of simulations in which the bootstrap interval of the Fréchet difference does not contain
            the point estimate.
    """

    coverages: tuple[Coverage, ...]
    frechet: Coverage
    frechet_outside: float
    conclusions: tuple[Conclusions, ...]

    @property
    def within_targets(self) -> bool:
        """Coverage with ten or more songs and a seed effect, errors about equal models, and false claims."""
        used = [one for one in self.coverages if one.design.num_songs >= 10 and one.design.seed_effect > 0]
        covered = all(one.coverage[METHOD] >= LOWEST_COVERAGE for one in used)
        equal = [one for one in self.conclusions if not any(one.effects)]
        false_claims = [one for one in self.conclusions if min(one.effects) <= 0]
        return (
            covered
            and all(one.any_significant <= HIGHEST_ERROR for one in equal)
            and all(one.holds <= HIGHEST_ERROR for one in false_claims)
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def markdown(self) -> str:
        """Three tables, as in docs/study.md."""
        lines = [
            "| measure | design | simulations | " + " | ".join(METHODS) + " |",
            "|" + " --- |" * (3 + len(METHODS)),
        ]
        for one in self.coverages:
            cells = [f"{one.coverage[name]:.3f}" if name in one.coverage else "" for name in METHODS]
            lines.append(f"| {one.kind} | {one.design.title} | {one.num_simulations} | " + " | ".join(cells) + " |")
        lines += [
            "",
            "| Fréchet distance, " + self.frechet.design.title + " | coverage | mean width |",
            "| --- | --- | --- |",
        ]
        lines += [
            f"| {name} | {value:.3f} | {self.frechet.width[name]:.3g} |"
            for name, value in self.frechet.coverage.items()
        ]
        lines += [
            "",
            f"Point estimate outside its own bootstrap interval: {self.frechet_outside:.3f} of "
            f"{self.frechet.num_simulations} simulations.",
            "",
            "| true advantage over each model | design | simulations | one or more significant | claim holds "
            "| a difference is significant |",
            "|" + " --- |" * 6,
        ]
        lines += [
            f"| {', '.join(f'{effect:g}' for effect in one.effects)} | {one.design.title} | {one.num_simulations} | "
            f"{one.any_significant:.3f} | {one.holds:.3f} | {one.significant:.3f} |"
            for one in self.conclusions
        ]
        return "\n".join(lines) + "\n"


EQUAL = (0.0, 0.0, 0.0, 0.0)
EFFECTS: tuple[tuple[float, ...], ...] = (
    EQUAL, (1.0, 1.0, 1.0, 0.0), (0.5,) * 4, (1.0,) * 4, (2.0,) * 4, (0.5,), (1.0,),
)  # fmt: skip


def run_coverage_benchmark(
    num_simulations: int, seed: int, *, on_progress: Callable[[str], None] = lambda _: None
) -> CoverageReport:
    """All kinds of measures and all designs. Half of the simulations for kernel distances and conclusions, a twentieth for
    Fréchet distances, which take longer.

    Args:
        on_progress: called with one line per result.
    """
    coverages: list[Coverage] = []
    for kind, design in product(KINDS, DESIGNS):
        if kind == "kernel distance" and design.skewed:
            continue
        number = max(num_simulations // 2, 1) if kind == "kernel distance" else num_simulations
        found = measure_coverage(kind, design, num_simulations=number, seed=seed, resamples=400)
        coverages.append(found)
        on_progress(f"{kind}, {design.title}: {found.coverage[METHOD]:.3f}")
    of_frechet, outside = frechet_coverage(Design(), num_simulations=max(num_simulations // 20, 1), seed=seed)
    on_progress(f"Fréchet distance: {of_frechet.coverage}, point estimate outside {outside:.3f}")
    conclusions = [
        measure_conclusions(effects, design, num_simulations=max(num_simulations // 2, 1), seed=seed)
        for effects, design in product(EFFECTS, (Design(seed_effect=0.0), Design(), Design(seed_effect=0.5)))
    ]
    return CoverageReport(
        coverages=tuple(coverages), frechet=of_frechet, frechet_outside=outside, conclusions=tuple(conclusions)
    )
