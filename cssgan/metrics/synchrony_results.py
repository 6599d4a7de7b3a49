"""The synchrony metrics as `MetricResult`s: correlation, AUC against mismatched audio, lag, beats; each with its controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from cssgan.metrics import beats, synchrony
from cssgan.metrics.controls import ControlVideos
from cssgan.metrics.motion import motion_curves, motion_mask
from cssgan.metrics.result import MetricResult, ProtocolValue, unavailable
from cssgan.metrics.statistics import bootstrap_mean, bootstrap_weights, percentile_interval
from cssgan.metrics.synchrony import SynchronySpec
from cssgan.metrics.videos import Floats, Ints, Mask, VideoPairs, blocks
from cssgan.types import EvalWindows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curves:
    """The curves of one evaluated set. Entry k of a row belongs to frame k + 1.

    Args:
        real_NK, fake_NK: motion curves of the real and the generated videos.
        onset_NK: onset curves of the audio at the same frames (the curve of all frames without its first entry).
        use_NK: entries that count.
        frames_per_second: of all curves.
        sources: source video of each; clips of one source are negatives of each other.
        controls: motion curves of the control videos, by name.
        swapped_NK: motion curves of videos generated from the audio of *other* videos, or None.
        swapped_controls: the same of the controls that depend on the audio.
        other_N: the videos whose audio was used for `swapped_NK` and `swapped_controls`.
    """

    real_NK: Floats
    fake_NK: Floats
    onset_NK: Floats
    use_NK: Mask
    frames_per_second: float
    sources: tuple[str, ...]
    controls: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    swapped_NK: Floats | None = None
    swapped_controls: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    other_N: Ints | None = None

    def __len__(self) -> int:
        return len(self.real_NK)

    @classmethod
    def of_videos(
        cls,
        pairs: VideoPairs,
        data: EvalWindows,
        onset_NT: Floats,
        *,
        controls: Mapping[str, Floats] | None = None,
        swapped: Mapping[str, Floats] | None = None,
        other_N: Ints | None = None,
    ) -> Curves:
        """The curves of `pairs` at one frame rate (`synchrony.at_common_rate`).

        Args:
            onset_NT: `synchrony.window_onset_curves` of `data`.
            controls: `control_curves`.
            swapped: motion curves of ``fake``, and of controls, from the audio of the videos `other_N`.
        """
        rates_N, use_NK = np.array([float(rate) for rate in data.frame_rates]), motion_mask(pairs.valid)

        def common(curves_NK: Floats) -> Floats:
            return synchrony.at_common_rate(curves_NK, use_NK, rates_N)[0]

        _, use, rate = synchrony.at_common_rate(onset_NT[:, 1:], use_NK, rates_N)
        of_swapped = {name: common(curve) for name, curve in (swapped or {}).items()}
        return cls(
            real_NK=common(motion_curves(pairs.real_NTHWC)),
            fake_NK=common(motion_curves(pairs.fake_NTHWC)),
            onset_NK=common(onset_NT[:, 1:]),
            use_NK=use,
            frames_per_second=rate,
            sources=data.video_ids,
            controls={name: common(curve) for name, curve in (controls or {}).items()},
            swapped_NK=of_swapped.pop("fake", None),
            swapped_controls=of_swapped,
            other_N=other_N,
        )


def control_curves(controls: ControlVideos) -> dict[str, Floats]:
    """Motion curves (N, T - 1) of all control videos, a block of videos at a time."""
    count, num_frames = controls.data.video_NTHWC.shape[:2]
    out: dict[str, Floats] = {name: np.zeros((count, num_frames - 1)) for name in controls.names}
    for rows in blocks(count, 32, controls.data.video_NTHWC, controls.data.mels_NTMU):
        for name in controls.names:
            out[name][rows] = motion_curves(controls.read(name, rows))
    return out


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SynchronyEvaluation:
    """Results of the synchrony metrics, and the values per video of some: float64 (N,), NaN if not defined."""

    results: tuple[MetricResult, ...]
    per_video: Mapping[str, Floats]


def synchrony_results(curves: Curves, spec: SynchronySpec) -> SynchronyEvaluation:
    """Onset-motion correlation, its AUC against mismatched audio, the audio swap test, the match with the real motion, lag
    and beats."""
    n, use, rate = len(curves), curves.use_NK, curves.frames_per_second
    if n < 2:
        reason = "one video has no mismatched audio; evaluate two or more"
        names = ("onset_motion_correlation", "sync_auc", "audio_swap_auc", "motion_match_auc")
        results = tuple(unavailable(name, reason, better="higher", n_real=n, n_fake=n) for name in names)
        return SynchronyEvaluation(results=results, per_video={})
    lags = synchrony.allowed_lags(curves.real_NK, curves.onset_NK, use, spec, rate)
    fake, defined = synchrony.best_correlations(curves.fake_NK, curves.onset_NK, use, lags)
    undefined = int((~np.diag(defined)).sum())
    shared: dict[str, ProtocolValue] = {
        **asdict(spec),
        "frames_per_second": rate,
        "lags": " ".join(map(str, lags)) + " frames",
        "onset": "half-wave-rectified flux of the log-mel bands within the frame's interval",
        "undefined": "videos whose motion or audio is constant; correlation 0, a tie with all other audio",
        "num_sources": len(set(curves.sources)),
    }
    auc, win_rate_N = _auc_result(curves, lags, undefined, spec)
    swap, swap_N = _swap_result(curves, lags, spec)
    results = [
        _correlation_result(curves, lags, fake, undefined, spec), auc, swap,
        _motion_match_result(curves, spec), _lag_result(curves, spec), *_beat_results(curves, spec.seed),
    ]  # fmt: skip
    return SynchronyEvaluation(
        results=tuple(result.with_protocol(shared) for result in results),
        per_video={"onset_motion_correlation": np.diag(fake).copy(), "sync_auc": win_rate_N}
        | ({} if swap_N is None else {"audio_swap_auc": swap_N}),
    )


def _with_controls(
    result: MetricResult, curves: Curves, value: Callable[[Floats], float | None], scale: float | None
) -> MetricResult:
    """`result` with the value of the real videos and of all control videos.

    Args:
        value: (motion curves (N, K)) -> value of the measure; None: not defined.
    """
    found = {name: value(curve) for name, curve in {"real": curves.real_NK, **curves.controls}.items()}
    defined = {name: number for name, number in found.items() if number is not None}
    return result.with_controls(defined, scale=scale)


def _correlation_result(
    curves: Curves, lags: tuple[int, ...], fake_NN: Floats, undefined: int, spec: SynchronySpec
) -> MetricResult:
    n = len(curves)

    def own(motion_NK: Floats) -> float:
        return float(np.diag(synchrony.best_correlations(motion_NK, curves.onset_NK, curves.use_NK, lags)[0]).mean())

    means = synchrony.mismatched_means(fake_NN, spec.num_pairings, np.random.default_rng(spec.seed))
    value = float(np.diag(fake_NN).mean())
    result = MetricResult(
        name="onset_motion_correlation", value=value, better="higher", n_real=n, n_fake=n, num_undefined=undefined,
        controls={"fake_other_audio": float(means.mean()), "fake_z": (value - float(means.mean())) / max(float(means.std()), 1e-9)},
        interval=bootstrap_mean(np.diag(fake_NN), spec.seed),
        protocol={"reduction": "best over the lags, mean over videos", "other_audio": "any other video of the set"},
    )  # fmt: skip
    return _with_controls(result, curves, own, 1.0)


def _auc_result(
    curves: Curves, lags: tuple[int, ...], undefined: int, spec: SynchronySpec
) -> tuple[MetricResult, Floats]:
    n, negatives = len(curves), synchrony.negatives(curves.sources)
    weights = bootstrap_weights(n, spec.seed, spec.num_resamples)

    def wins(motion_NK: Floats) -> Floats:
        return synchrony.wins(synchrony.own_advantages(motion_NK, curves.onset_NK, curves.use_NK, lags))

    fake, real = wins(curves.fake_NK), wins(curves.real_NK)
    low, high = percentile_interval(synchrony.auc(real, negatives, weights))
    controls = {"real_low": low, "real_high": high}
    if curves.swapped_NK is not None:
        controls["fake_from_other_audio"] = float(synchrony.auc(wins(curves.swapped_NK), negatives)[0])
    result = MetricResult(
        name="sync_auc", value=float(synchrony.auc(fake, negatives)[0]), better="higher", n_real=n, n_fake=n,
        num_undefined=undefined, controls=controls | _auc_by_source(fake, negatives, curves.sources),
        interval=percentile_interval(synchrony.auc(fake, negatives, weights)),
        protocol={
            "mismatched": "other clips of the same source video; all others for the only clip of its source",
            "compared": "own and mismatched audio over the frames that both clips have",
            "interval": "bootstrap over clips: holds for these source videos, others differ more",
        },
    )  # fmt: skip
    result = _with_controls(result, curves, lambda motion: float(synchrony.auc(wins(motion), negatives)[0]), 1.0)
    return result, synchrony.win_rates(fake, negatives)


def _auc_by_source(wins_NN: Floats, negatives_NN: Mask, sources: tuple[str, ...]) -> dict[str, float]:
    """Lowest and highest AUC among source videos of at least five clips: songs differ more than clips do."""
    names, counts = np.unique(np.array(sources), return_counts=True)
    values = [
        float(synchrony.auc(wins_NN[np.ix_(rows, rows)], negatives_NN[np.ix_(rows, rows)])[0])
        for rows in (np.flatnonzero(np.array(sources) == name) for name in names[counts >= 5])
    ]
    return {"lowest_source": min(values), "highest_source": max(values)} if len(values) > 1 else {}


def _swap_result(curves: Curves, lags: tuple[int, ...], spec: SynchronySpec) -> tuple[MetricResult, Floats | None]:
    def advantages(motion_NK: Floats) -> Floats:
        return synchrony.own_advantages(motion_NK, curves.onset_NK, curves.use_NK, lags)

    swapped, other = curves.swapped_NK, curves.other_N
    own_NN = advantages(curves.fake_NK)
    result = audio_swap_result(
        "audio_swap_auc", own_NN, None if swapped is None else advantages(swapped), other, spec.seed
    )
    if swapped is None or other is None:
        return result, None
    # A control that does not depend on the audio is the same video twice: exactly the chance level.
    values: dict[str, float] = dict.fromkeys(curves.controls, 0.5)
    for name, motion_NK in curves.swapped_controls.items():
        own = advantages(curves.controls[name])
        values[name] = float(synchrony.audio_swap_wins(own, advantages(motion_NK), other).mean())
    # A real clip has one audio signal, so the test has no real value; what it can reach at most stands for it.
    result = result.with_controls({"real": 1.0, **values}, scale=1.0)
    return result, synchrony.audio_swap_wins(own_NN, advantages(swapped), other)


def audio_swap_result(
    name: str, own_NN: Floats, swapped_NN: Floats | None, other_N: Ints | None, seed: int
) -> MetricResult:
    """The result of `synchrony.audio_swap_wins`; unavailable if no videos were generated from other audio."""
    n = len(own_NN)
    if swapped_NN is None or other_N is None:
        reason = "no videos were generated from the audio of other videos"
        return unavailable(name, reason, better="higher", n_real=n, n_fake=n)
    values = synchrony.audio_swap_wins(own_NN, swapped_NN, other_N)
    return MetricResult(
        name=name, value=float(values.mean()), better="higher", n_real=0, n_fake=2 * n, controls={"chance_level": 0.5},
        interval=bootstrap_mean(values, seed),
        protocol={"videos": "each image with its own audio and with that of another video",
                  "win": "the video scores higher with the audio it was generated from than with the other one",
                  "real": "the most that the test can reach; a real clip has one audio signal"},
    )  # fmt: skip


def _motion_match_result(curves: Curves, spec: SynchronySpec) -> MetricResult:
    """Generated motion against real motion: does it have the timing of this clip, not that of another one?"""
    n, negatives = len(curves), synchrony.negatives(curves.sources)

    def wins(motion_NK: Floats) -> Floats:
        return synchrony.wins(synchrony.own_advantages(motion_NK, curves.real_NK, curves.use_NK))

    match, defined = synchrony.correlations(curves.fake_NK, curves.real_NK, curves.use_NK)
    fake = wins(curves.fake_NK)
    resampled = synchrony.auc(fake, negatives, bootstrap_weights(n, spec.seed, spec.num_resamples))
    result = MetricResult(
        name="motion_match_auc", value=float(synchrony.auc(fake, negatives)[0]), better="higher", n_real=n, n_fake=n,
        num_undefined=int((~np.diag(defined)).sum()), interval=percentile_interval(resampled),
        controls={"correlation": float(np.diag(match).mean())},
        protocol={"compared": "motion curves of generated and real videos at lag 0, negatives as for sync_auc"},
    )  # fmt: skip
    return _with_controls(result, curves, lambda motion: float(synchrony.auc(wins(motion), negatives)[0]), 1.0)


def _lag_result(curves: Curves, spec: SynchronySpec) -> MetricResult:
    n, lags = len(curves), synchrony.searched_lags(spec, curves.frames_per_second)

    def median(motion_NK: Floats) -> float:
        lag = synchrony.best_lags(motion_NK, curves.onset_NK, curves.use_NK, lags)[1]
        return float(np.median(lag)) / curves.frames_per_second

    best, _ = synchrony.best_lags(curves.fake_NK, curves.onset_NK, curves.use_NK, lags)
    values = {name: median(motion) for name, motion in {"real": curves.real_NK, **curves.controls}.items()}
    return MetricResult(
        name="best_lag", value=median(curves.fake_NK), better="neither", unit="s, motion after audio",
        n_real=n, n_fake=n, controls={"correlation_there": float(best.mean()), **values},
        protocol={"searched": f"+-{spec.max_lag_seconds} s", "reduction": "median over videos",
                  "note": "the maximum of several correlations is high by chance too; sync_auc has a control for this"},
    )  # fmt: skip


def _beat_results(curves: Curves, seed: int) -> list[MetricResult]:
    n, onset, use, rate = len(curves), curves.onset_NK, curves.use_NK, curves.frames_per_second
    other = synchrony.mismatched_pairing(n, np.random.default_rng(seed))
    results: list[MetricResult] = []
    extrema: tuple[beats.Extremum, ...] = ("max", "min")
    for extremum in extrema:

        def value_of(motion_NK: Floats, extremum: beats.Extremum = extremum) -> float | None:
            return beats.beat_alignment(motion_NK, onset, use, rate, extremum)[0]

        value, undefined = beats.beat_alignment(curves.fake_NK, onset, use, rate, extremum)
        if value is None:
            reason = "no video has both a beat of the audio and one of the motion"
            results.append(unavailable(f"ba_{extremum}", reason, better="higher", n_real=n, n_fake=n))
            continue
        with_other = beats.beat_alignment(curves.fake_NK, onset[other], use & use[other], rate, extremum)[0]
        result = MetricResult(
            name=f"ba_{extremum}", value=value, better="higher", n_real=n, n_fake=n, num_undefined=undefined,
            controls={} if with_other is None else {"fake_other_audio": with_other},
            protocol={"sigma": f"max(1 frame, {beats.SIGMA_SECONDS} s)", "motion_beats": f"local {extremum}ima",
                      "undefined": "videos without a beat of the audio or of the motion; ignored"},
        )  # fmt: skip
        results.append(_with_controls(result, curves, value_of, 1.0))
    return results
