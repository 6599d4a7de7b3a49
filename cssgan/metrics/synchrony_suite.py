"""The synchrony measures as `MetricResult`s: correlation, AUC against mismatched sounds, lag, beats."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from cssgan.metrics import beats, synchrony
from cssgan.metrics.result import MetricResult, ProtocolValue, unavailable
from cssgan.metrics.suite import bootstrap_mean, ratios, video_weights
from cssgan.metrics.synchrony import Matrix, SynchronySpec
from cssgan.metrics.videos import Floats, Ints, Mask


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curves:
    """The curves of one evaluated set, row by row; entry k of a row belongs to frame k + 1.

    Args:
        real_NK, fake_NK: motion curves of the real and the generated videos.
        onset_NK: onset curves of the sounds on the same frames (the curve of all frames without its first entry).
        use_NK: entries that count.
        frames_per_second_N: of each video.
        sources: source video of each; clips of one source are each other's rivals.
        swapped_NK: motion curves of videos made from *other* videos' sounds, or None where there are none.
        other_N: whose sounds those are.
    """

    real_NK: Floats
    fake_NK: Floats
    onset_NK: Floats
    use_NK: Mask
    frames_per_second_N: Floats
    sources: tuple[str, ...]
    swapped_NK: Floats | None = None
    other_N: Ints | None = None


def synchrony_results(curves: Curves, spec: SynchronySpec) -> list[MetricResult]:
    """Onset-motion correlation, its AUC against mismatched sounds, that AUC as a share of the real videos', whether
    the given sound was heard, whether the real motion is met, lag, beats."""
    n, use = len(curves.real_NK), curves.use_NK
    if n < 2:
        reason = "one video has no mismatched sound; evaluate two or more"
        names = ("onset_motion_correlation", "sync_auc", "sync_auc_of_real", "audio_swap_auc", "motion_match_auc")
        return [unavailable(name, reason, better="higher", n_real=n, n_fake=n) for name in names]
    lags = synchrony.allowed_lags(curves.real_NK, curves.onset_NK, use, spec)
    real, _ = synchrony.scores(curves.real_NK, curves.onset_NK, use, lags)
    fake, defined = synchrony.scores(curves.fake_NK, curves.onset_NK, use, lags)
    swapped = None if curves.swapped_NK is None else synchrony.scores(curves.swapped_NK, curves.onset_NK, use, lags)[0]
    undefined = int((~np.diag(defined)).sum())
    shared: dict[str, ProtocolValue] = {
        **asdict(spec),
        "lags": " ".join(map(str, lags)),
        "onset": "half-wave-rectified flux of the log-mel bands within the frame's interval",
        "undefined": "videos whose motion or sound is constant; correlation 0, a tie with every other sound",
        "num_sources": len(set(curves.sources)),
    }
    results = [
        _correlation_result(curves, real, fake, undefined, spec),
        *_auc_results(curves, {"real": real, "fake": fake}, swapped, undefined, spec),
        _audio_swap_result(curves, fake, swapped, spec),
        _match_result(curves, spec),
        _lag_result(curves.real_NK, curves.fake_NK, curves.onset_NK, use),
        *_beat_results(curves.real_NK, curves.fake_NK, curves.onset_NK, use, curves.frames_per_second_N, spec.seed),
    ]
    return [result.under(shared) for result in results]


def _correlation_result(
    curves: Curves, real_NN: Matrix, fake_NN: Matrix, undefined: int, spec: SynchronySpec
) -> MetricResult:
    n = len(real_NN)
    controls = {"real": float(np.diag(real_NN).mean())}
    for name, score, motion in (("fake", fake_NN, curves.fake_NK), ("real", real_NN, curves.real_NK)):
        means = synchrony.mismatched_means(score, spec.num_pairings, np.random.default_rng(spec.seed))
        at_zero = np.diag(synchrony.correlations(motion, curves.onset_NK, curves.use_NK)[0])
        controls[f"{name}_mismatched"] = float(means.mean())
        controls[f"{name}_z"] = float((np.diag(score).mean() - means.mean()) / max(float(means.std()), 1e-9))
        controls[f"{name}_at_lag_0"] = float(at_zero.mean())
    return MetricResult(
        name="onset_motion_correlation", value=float(np.diag(fake_NN).mean()), better="higher",
        n_real=n, n_fake=n, num_undefined=undefined, controls=controls,
        interval=synchrony.interval(video_weights(n, spec.seed) @ np.diag(fake_NN) / n),
        protocol={"reduction": "best over the lags, mean over videos", "mismatched": "any other video of the set"},
    )  # fmt: skip


def _auc_results(
    curves: Curves, score: dict[str, Matrix], swapped_NN: Matrix | None, undefined: int, spec: SynchronySpec
) -> list[MetricResult]:
    n, negatives = len(curves.real_NK), synchrony.negatives(curves.sources)
    everyone = ~np.eye(n, dtype=np.bool_)
    won = {name: synchrony.pairwise_wins(matrix) for name, matrix in score.items()}
    weights = synchrony.resample_weights(n, spec.num_resamples, np.random.default_rng(spec.seed))
    value = {name: float(synchrony.auc(matrix, negatives)[0]) for name, matrix in won.items()}
    drawn = {name: synchrony.auc(matrix, negatives, weights) for name, matrix in won.items()}
    low, high = synchrony.interval(drawn["real"])
    controls = {"real": value["real"], "real_low": low, "real_high": high}
    if swapped_NN is not None:
        controls["fake_from_other_sounds"] = float(synchrony.auc(synchrony.pairwise_wins(swapped_NN), negatives)[0])
    for name, matrix in won.items():
        controls[f"{name}_against_all"] = float(synchrony.auc(matrix, everyone)[0])
    controls |= _by_source(won["fake"], negatives, curves.sources)
    protocol: dict[str, ProtocolValue] = {
        "mismatched": "other clips of the same source video; all others for a clip that is alone of its source",
        "interval": "bootstrap over clips: holds for these source videos, others differ more",
    }
    shared = {"n": n, "undefined": undefined}
    result = _auc_result("sync_auc", value["fake"], drawn["fake"], controls, protocol, "", **shared)
    if value["real"] == 0.0:
        reason = "the real videos' AUC is 0"
        return [result, unavailable("sync_auc_of_real", reason, better="higher", n_real=n, n_fake=n)]
    above = {"above_chance_share": (value["fake"] - 0.5) / (value["real"] - 0.5)} if value["real"] != 0.5 else {}
    share, shares = value["fake"] / value["real"], ratios(drawn["fake"], drawn["real"])
    return [result, _auc_result("sync_auc_of_real", share, shares, above, protocol, "ratio", **shared)]


def _auc_result(
    name: str, value: float, drawn_R: Floats, controls: dict[str, float], protocol: dict[str, ProtocolValue],
    unit: str, *, n: int, undefined: int,
) -> MetricResult:  # fmt: skip
    return MetricResult(
        name=name, value=value, better="higher", unit=unit, n_real=n, n_fake=n, num_undefined=undefined,
        controls=controls, interval=synchrony.interval(drawn_R), protocol=protocol,
    )  # fmt: skip


def _by_source(won_NN: Matrix, negatives_NN: Mask, sources: tuple[str, ...]) -> dict[str, float]:
    """Lowest and highest AUC among source videos of at least five clips: songs differ more than clips do."""
    names, counts = np.unique(np.array(sources), return_counts=True)
    values = [
        float(synchrony.auc(won_NN[np.ix_(rows, rows)], negatives_NN[np.ix_(rows, rows)])[0])
        for rows in (np.flatnonzero(np.array(sources) == name) for name in names[counts >= 5])
    ]
    return {"lowest_source": min(values), "highest_source": max(values)} if len(values) > 1 else {}


def _audio_swap_result(curves: Curves, fake_NN: Matrix, swapped_NN: Matrix | None, spec: SynchronySpec) -> MetricResult:
    n = len(fake_NN)
    if swapped_NN is None or curves.other_N is None:
        reason = "no videos were generated from other sounds"
        return unavailable("audio_swap_auc", reason, better="higher", n_real=n, n_fake=n)
    values = synchrony.heard(fake_NN, swapped_NN, curves.other_N)
    return MetricResult(
        name="audio_swap_auc", value=float(values.mean()), better="higher", n_real=0, n_fake=2 * n, controls={"deaf": 0.5},
        interval=bootstrap_mean(values, spec.seed),
        protocol={"videos": "each picture with its own sound and with that of another video",
                  "won": "the video moves more with the sound it was given than with the other one"},
    )  # fmt: skip


def _match_result(curves: Curves, spec: SynchronySpec) -> MetricResult:
    """Generated motion against real motion: is it the timing of this clip and not that of another one?"""
    n, negatives = len(curves.real_NK), synchrony.negatives(curves.sources)
    match, defined = synchrony.correlations(curves.fake_NK, curves.real_NK, curves.use_NK)
    won = synchrony.pairwise_wins(match)
    weights = synchrony.resample_weights(n, spec.num_resamples, np.random.default_rng(spec.seed))
    return MetricResult(
        name="motion_match_auc", value=float(synchrony.auc(won, negatives)[0]), better="higher", n_real=n, n_fake=n,
        num_undefined=int((~np.diag(defined)).sum()), interval=synchrony.interval(synchrony.auc(won, negatives, weights)),
        controls={"correlation": float(np.diag(match).mean())},
        protocol={"compared": "motion curves of generated and real videos at lag 0, rivals as for sync_auc"},
    )  # fmt: skip


def _lag_result(real_NK: Floats, fake_NK: Floats, onset_NK: Floats, use_NK: Mask) -> MetricResult:
    best, lag = synchrony.best_lags(fake_NK, onset_NK, use_NK)
    real_best, real_lag = synchrony.best_lags(real_NK, onset_NK, use_NK)
    return MetricResult(
        name="best_lag", value=float(np.median(lag)), better="neither", unit="frames, motion after sound",
        n_real=len(real_NK), n_fake=len(fake_NK),
        controls={"real": float(np.median(real_lag)), "correlation_there": float(best.mean()),
                  "real_correlation_there": float(real_best.mean())},
        protocol={"searched": "-3..3", "reduction": "median over videos",
                  "note": "a best of seven is high by chance too; sync_auc is the measure with a control"},
    )  # fmt: skip


def _beat_results(
    real_NK: Floats, fake_NK: Floats, onset_NK: Floats, use_NK: Mask, frames_per_second_N: Floats, seed: int
) -> list[MetricResult]:
    n = len(real_NK)
    other = synchrony.mismatched(n, np.random.default_rng(seed))
    both = use_NK & use_NK[other]
    results: list[MetricResult] = []
    for which in ("max", "min"):
        rates = frames_per_second_N
        value, lacking = beats.beat_alignment(fake_NK, onset_NK, use_NK, rates, which)
        if value is None:
            reason = "no video has both a beat of the sound and one of the motion"
            results.append(unavailable(f"ba_{which}", reason, better="higher", n_real=n, n_fake=n))
            continue
        candidates = {
            "real": beats.beat_alignment(real_NK, onset_NK, use_NK, rates, which)[0],
            "fake_mismatched": beats.beat_alignment(fake_NK, onset_NK[other], both, rates, which)[0],
            "real_mismatched": beats.beat_alignment(real_NK, onset_NK[other], both, rates, which)[0],
        }
        results.append(
            MetricResult(
                name=f"ba_{which}", value=value, better="higher", n_real=n, n_fake=n, num_undefined=lacking,
                controls={name: number for name, number in candidates.items() if number is not None},
                protocol={"sigma": f"max(1 frame, {beats.SIGMA_SECONDS} s)", "motion_beats": f"local {which}ima",
                          "undefined": "videos without a beat of the sound or of the motion; left out"},
            )
        )  # fmt: skip
    return results
