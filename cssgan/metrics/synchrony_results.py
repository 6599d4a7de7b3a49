"""The synchrony metrics as `MetricResult`s: correlation, AUC against mismatched audio, lag, beats."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from cssgan.metrics import beats, synchrony
from cssgan.metrics.motion import motion_curves, motion_mask
from cssgan.metrics.result import MetricResult, ProtocolValue, unavailable
from cssgan.metrics.statistics import bootstrap_mean, bootstrap_weights, percentile_interval, safe_ratios
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.videos import Floats, Ints, Mask, VideoPairs
from cssgan.types import EvalWindows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curves:
    """The curves of one evaluated set. Entry k of a row belongs to frame k + 1.

    Args:
        real_NK, fake_NK: motion curves of the real and the generated videos.
        onset_NK: onset curves of the audio at the same frames (the curve of all frames without its first entry).
        use_NK: entries that count.
        frames_per_second_N: of each video.
        sources: source video of each; clips of one source are negatives of each other.
        swapped_NK: motion curves of videos generated from the audio of *other* videos, or None.
        other_N: the videos whose audio was used for `swapped_NK`.
    """

    real_NK: Floats
    fake_NK: Floats
    onset_NK: Floats
    use_NK: Mask
    frames_per_second_N: Floats
    sources: tuple[str, ...]
    swapped_NK: Floats | None = None
    other_N: Ints | None = None

    def __len__(self) -> int:
        return len(self.real_NK)

    @classmethod
    def of_videos(
        cls,
        pairs: VideoPairs,
        data: EvalWindows,
        onset_NT: Floats,
        swapped_NK: Floats | None = None,
        other_N: Ints | None = None,
    ) -> Curves:
        """The curves of `pairs`; `onset_NT` is `synchrony.window_onset_curves` of `data`."""
        return cls(
            real_NK=motion_curves(pairs.real_NTHWC),
            fake_NK=motion_curves(pairs.fake_NTHWC),
            onset_NK=onset_NT[:, 1:],
            use_NK=motion_mask(pairs.valid),
            frames_per_second_N=np.array([float(rate) for rate in data.frame_rates]),
            sources=data.video_ids,
            swapped_NK=swapped_NK,
            other_N=other_N,
        )


def synchrony_results(curves: Curves, spec: SynchronySpec) -> list[MetricResult]:
    """Onset-motion correlation, its AUC against mismatched audio, that AUC relative to the real videos', the audio swap
    test, the match with the real motion, lag and beats."""
    n, use = len(curves), curves.use_NK
    if n < 2:
        reason = "one video has no mismatched audio; evaluate two or more"
        names = ("onset_motion_correlation", "sync_auc", "sync_auc_of_real", "audio_swap_auc", "motion_match_auc")
        return [unavailable(name, reason, better="higher", n_real=n, n_fake=n) for name in names]
    lags = synchrony.allowed_lags(curves.real_NK, curves.onset_NK, use, spec)
    real, _ = synchrony.best_correlations(curves.real_NK, curves.onset_NK, use, lags)
    fake, defined = synchrony.best_correlations(curves.fake_NK, curves.onset_NK, use, lags)
    swapped = None
    if curves.swapped_NK is not None:
        swapped, _ = synchrony.best_correlations(curves.swapped_NK, curves.onset_NK, use, lags)
    undefined = int((~np.diag(defined)).sum())
    shared: dict[str, ProtocolValue] = {
        **asdict(spec),
        "lags": " ".join(map(str, lags)),
        "onset": "half-wave-rectified flux of the log-mel bands within the frame's interval",
        "undefined": "videos whose motion or audio is constant; correlation 0, a tie with all other audio",
        "num_sources": len(set(curves.sources)),
    }
    results = [
        _correlation_result(curves, real, fake, undefined, spec),
        *_auc_results(curves, {"real": real, "fake": fake}, swapped, undefined, spec),
        audio_swap_result("audio_swap_auc", fake, swapped, curves.other_N, spec.seed),
        _motion_match_result(curves, spec),
        _lag_result(curves),
        *_beat_results(curves, spec.seed),
    ]
    return [result.with_protocol(shared) for result in results]


def _correlation_result(
    curves: Curves, real_NN: Floats, fake_NN: Floats, undefined: int, spec: SynchronySpec
) -> MetricResult:
    n = len(curves)
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
        interval=bootstrap_mean(np.diag(fake_NN), spec.seed),
        protocol={"reduction": "best over the lags, mean over videos", "mismatched": "any other video of the set"},
    )  # fmt: skip


def _auc_results(
    curves: Curves, score: dict[str, Floats], swapped_NN: Floats | None, undefined: int, spec: SynchronySpec
) -> list[MetricResult]:
    n, negatives = len(curves), synchrony.negatives(curves.sources)
    all_others = ~np.eye(n, dtype=np.bool_)
    wins = {name: synchrony.pairwise_wins(matrix) for name, matrix in score.items()}
    weights = bootstrap_weights(n, spec.seed, spec.num_resamples)
    value = {name: float(synchrony.auc(matrix, negatives)[0]) for name, matrix in wins.items()}
    resampled = {name: synchrony.auc(matrix, negatives, weights) for name, matrix in wins.items()}
    low, high = percentile_interval(resampled["real"])
    controls = {"real": value["real"], "real_low": low, "real_high": high}
    if swapped_NN is not None:
        controls["fake_from_other_audio"] = float(synchrony.auc(synchrony.pairwise_wins(swapped_NN), negatives)[0])
    for name, matrix in wins.items():
        controls[f"{name}_against_all"] = float(synchrony.auc(matrix, all_others)[0])
    controls |= _auc_by_source(wins["fake"], negatives, curves.sources)

    def result(
        name: str, value: float, resampled_R: Floats, controls: dict[str, float], unit: str = ""
    ) -> MetricResult:
        return MetricResult(
            name=name, value=value, better="higher", unit=unit, n_real=n, n_fake=n, num_undefined=undefined,
            controls=controls, interval=percentile_interval(resampled_R),
            protocol={
                "mismatched": "other clips of the same source video; all others for the only clip of its source",
                "interval": "bootstrap over clips: holds for these source videos, others differ more",
            },
        )  # fmt: skip

    sync_auc = result("sync_auc", value["fake"], resampled["fake"], controls)
    if value["real"] == 0.0:
        reason = "the AUC of the real videos is 0"
        return [sync_auc, unavailable("sync_auc_of_real", reason, better="higher", n_real=n, n_fake=n)]
    above = {"above_chance_share": (value["fake"] - 0.5) / (value["real"] - 0.5)} if value["real"] != 0.5 else {}
    ratios = safe_ratios(resampled["fake"], resampled["real"])
    return [sync_auc, result("sync_auc_of_real", value["fake"] / value["real"], ratios, above, "ratio")]


def _auc_by_source(wins_NN: Floats, negatives_NN: Mask, sources: tuple[str, ...]) -> dict[str, float]:
    """Lowest and highest AUC among source videos of at least five clips: songs differ more than clips do."""
    names, counts = np.unique(np.array(sources), return_counts=True)
    values = [
        float(synchrony.auc(wins_NN[np.ix_(rows, rows)], negatives_NN[np.ix_(rows, rows)])[0])
        for rows in (np.flatnonzero(np.array(sources) == name) for name in names[counts >= 5])
    ]
    return {"lowest_source": min(values), "highest_source": max(values)} if len(values) > 1 else {}


def audio_swap_result(
    name: str, fake_NN: Floats, swapped_NN: Floats | None, other_N: Ints | None, seed: int
) -> MetricResult:
    """The result of `synchrony.audio_swap_wins`; unavailable if no videos were generated from other audio."""
    n = len(fake_NN)
    if swapped_NN is None or other_N is None:
        reason = "no videos were generated from the audio of other videos"
        return unavailable(name, reason, better="higher", n_real=n, n_fake=n)
    values = synchrony.audio_swap_wins(fake_NN, swapped_NN, other_N)
    return MetricResult(
        name=name, value=float(values.mean()), better="higher", n_real=0, n_fake=2 * n, controls={"chance_level": 0.5},
        interval=bootstrap_mean(values, seed),
        protocol={"videos": "each image with its own audio and with that of another video",
                  "win": "the video scores higher with the audio it was generated from than with the other one"},
    )  # fmt: skip


def _motion_match_result(curves: Curves, spec: SynchronySpec) -> MetricResult:
    """Generated motion against real motion: does it have the timing of this clip, not that of another one?"""
    n, negatives = len(curves), synchrony.negatives(curves.sources)
    match, defined = synchrony.correlations(curves.fake_NK, curves.real_NK, curves.use_NK)
    wins = synchrony.pairwise_wins(match)
    resampled = synchrony.auc(wins, negatives, bootstrap_weights(n, spec.seed, spec.num_resamples))
    return MetricResult(
        name="motion_match_auc", value=float(synchrony.auc(wins, negatives)[0]), better="higher", n_real=n, n_fake=n,
        num_undefined=int((~np.diag(defined)).sum()), interval=percentile_interval(resampled),
        controls={"correlation": float(np.diag(match).mean())},
        protocol={"compared": "motion curves of generated and real videos at lag 0, negatives as for sync_auc"},
    )  # fmt: skip


def _lag_result(curves: Curves) -> MetricResult:
    n = len(curves)
    best, lag = synchrony.best_lags(curves.fake_NK, curves.onset_NK, curves.use_NK)
    real_best, real_lag = synchrony.best_lags(curves.real_NK, curves.onset_NK, curves.use_NK)
    return MetricResult(
        name="best_lag", value=float(np.median(lag)), better="neither", unit="frames, motion after audio",
        n_real=n, n_fake=n,
        controls={"real": float(np.median(real_lag)), "correlation_there": float(best.mean()),
                  "real_correlation_there": float(real_best.mean())},
        protocol={"searched": "-3..3", "reduction": "median over videos",
                  "note": "the maximum of seven correlations is high by chance too; sync_auc has a control for this"},
    )  # fmt: skip


def _beat_results(curves: Curves, seed: int) -> list[MetricResult]:
    n, onset, use = len(curves), curves.onset_NK, curves.use_NK
    other = synchrony.mismatched_pairing(n, np.random.default_rng(seed))
    both = use & use[other]
    results: list[MetricResult] = []
    for extremum in ("max", "min"):
        rates = curves.frames_per_second_N
        value, undefined = beats.beat_alignment(curves.fake_NK, onset, use, rates, extremum)
        if value is None:
            reason = "no video has both a beat of the audio and one of the motion"
            results.append(unavailable(f"ba_{extremum}", reason, better="higher", n_real=n, n_fake=n))
            continue
        controls = {
            "real": beats.beat_alignment(curves.real_NK, onset, use, rates, extremum)[0],
            "fake_mismatched": beats.beat_alignment(curves.fake_NK, onset[other], both, rates, extremum)[0],
            "real_mismatched": beats.beat_alignment(curves.real_NK, onset[other], both, rates, extremum)[0],
        }
        results.append(
            MetricResult(
                name=f"ba_{extremum}", value=value, better="higher", n_real=n, n_fake=n, num_undefined=undefined,
                controls={name: control for name, control in controls.items() if control is not None},
                protocol={"sigma": f"max(1 frame, {beats.SIGMA_SECONDS} s)", "motion_beats": f"local {extremum}ima",
                          "undefined": "videos without a beat of the audio or of the motion; ignored"},
            )
        )  # fmt: skip
    return results
