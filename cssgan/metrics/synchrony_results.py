"""The synchrony metrics as `MetricResult`s: correlation, AUC against mismatched audio, lag, beats; each with its controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from cssgan.metrics import beats, synchrony
from cssgan.metrics.controls import ControlVideos, other_clips
from cssgan.metrics.motion import motion_curves, motion_mask
from cssgan.metrics.result import MetricResult, ProtocolValue, unavailable
from cssgan.metrics.statistics import bootstrap_mean, bootstrap_weights, percentile_interval
from cssgan.metrics.synchrony import SynchronySpec, WinBlock
from cssgan.metrics.videos import Floats, Ints, Mask, VideoPairs, blocks
from cssgan.types import EvalWindows

MISMATCHED_DRAWS = 8


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

    def mismatched_draws(self, seed: int) -> Iterator[Floats]:
        """Motion curves of the control ``mismatched`` in `MISMATCHED_DRAWS` random choices of the other clip.

        With one choice of a small set, the value of this control is mostly chance.
        """
        rng = np.random.default_rng(seed)
        for _ in range(MISMATCHED_DRAWS):
            other = other_clips(self.sources, rng)
            yield np.where(self.use_NK[other], self.real_NK[other], 0.0)

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
            swapped: motion curves of ``fake``, and of controls, from the audio of the videos `other_N` (a permutation), in
                the frames of these videos.
        """
        rates_N, use_NK = np.array([float(rate) for rate in data.frame_rates]), motion_mask(pairs.valid)

        def common(curves_NK: Floats) -> Floats:
            return synchrony.at_common_rate(curves_NK, use_NK, rates_N)[0]

        def from_other_audio(curves_NK: Floats) -> Floats:
            """Frame k of such a video is at time k / rate of the clip that the audio is from."""
            assert other_N is not None
            return synchrony.at_common_rate(curves_NK, use_NK[other_N], rates_N[other_N])[0]

        _, use, rate = synchrony.at_common_rate(onset_NT[:, 1:], use_NK, rates_N)
        of_swapped = {name: from_other_audio(curve) for name, curve in (swapped or {}).items()}
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
    fake_N, defined_N = synchrony.own_correlations(curves.fake_NK, curves.onset_NK, use, use, lags)
    undefined = int((~defined_N).sum())
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
        _correlation_result(curves, lags, fake_N, undefined, spec), auc, swap,
        _motion_match_result(curves, spec), _lag_result(curves, spec), *_beat_results(curves, spec.seed),
    ]  # fmt: skip
    return SynchronyEvaluation(
        results=tuple(result.with_protocol(shared) for result in results),
        per_video={"onset_motion_correlation": fake_N, "sync_auc": win_rate_N}
        | ({} if swap_N is None else {"audio_swap_auc": swap_N}),
    )


def _control_values(curves: Curves, value: Callable[[Floats], float | None], seed: int) -> dict[str, float]:
    """The value of the real videos and of all control videos, where it is defined; of ``mismatched`` the mean over draws.

    Args:
        value: (motion curves (N, K)) -> value of the measure; None: not defined.
    """
    found = {name: [value(curve)] for name, curve in {"real": curves.real_NK, **curves.controls}.items()}
    if "mismatched" in found:
        found["mismatched"] = [value(curve) for curve in curves.mismatched_draws(seed)]
    numbers = {name: [number for number in each if number is not None] for name, each in found.items()}
    return {name: float(np.mean(each)) for name, each in numbers.items() if each}


def _correlation_result(
    curves: Curves, lags: tuple[int, ...], fake_N: Floats, undefined: int, spec: SynchronySpec
) -> MetricResult:
    n, onset, use = len(curves), curves.onset_NK, curves.use_NK

    def own(motion_NK: Floats) -> float:
        return float(synchrony.own_correlations(motion_NK, onset, use, use, lags)[0].mean())

    rng = np.random.default_rng(spec.seed)
    means = synchrony.mismatched_means(curves.fake_NK, onset, use, lags, spec.num_pairings, rng)
    value = float(fake_N.mean())
    result = MetricResult(
        name="onset_motion_correlation", value=value, better="higher", n_real=n, n_fake=n, num_undefined=undefined,
        controls={"fake_other_audio": float(means.mean()), "fake_z": (value - float(means.mean())) / max(float(means.std()), 1e-9)},
        interval=bootstrap_mean(fake_N, spec.seed),
        protocol={"reduction": "best over the lags, mean over videos", "other_audio": "any other video of the set"},
    )  # fmt: skip
    return result.with_controls(_control_values(curves, own, spec.seed), scale=1.0)


def _auc_result(
    curves: Curves, lags: tuple[int, ...], undefined: int, spec: SynchronySpec
) -> tuple[MetricResult, Floats]:
    n = len(curves)
    weights = bootstrap_weights(n, spec.seed, spec.num_resamples)

    def wins(motion_NK: Floats) -> list[WinBlock]:
        return synchrony.song_wins(motion_NK, curves.onset_NK, curves.use_NK, curves.sources, lags)

    fake = wins(curves.fake_NK)
    low, high = percentile_interval(synchrony.song_auc(wins(curves.real_NK), weights))
    rate_N = synchrony.song_win_rates(fake)
    controls = {"chance_level": 0.5, "real_low": low, "real_high": high}
    if curves.swapped_NK is not None:
        controls["fake_from_other_audio"] = float(synchrony.song_auc(wins(curves.swapped_NK))[0])
    result = MetricResult(
        name="sync_auc", value=float(synchrony.song_auc(fake)[0]), better="higher", n_real=n, n_fake=n,
        num_undefined=undefined, controls=controls | _auc_by_source(rate_N, curves.sources),
        interval=percentile_interval(synchrony.song_auc(fake, weights)),
        protocol={
            "negatives": "other clips of the same source video; all others for the only clip of its source",
            "compared": "own and mismatched audio over the frames that both clips have",
            "interval": "bootstrap over clips: holds for these source videos, others differ more",
            "mismatched": f"mean of {MISMATCHED_DRAWS} choices of the other clip",
        },
    )  # fmt: skip
    values = _control_values(curves, lambda motion: float(synchrony.song_auc(wins(motion))[0]), spec.seed)
    return result.with_controls(values, scale=1.0), rate_N


def _auc_by_source(rate_N: Floats, sources: tuple[str, ...]) -> dict[str, float]:
    """Lowest and highest AUC among source videos of at least five clips: songs differ more than clips do."""
    names, counts = np.unique(np.array(sources), return_counts=True)
    values = [float(rate_N[np.array(sources) == name].mean()) for name in names[counts >= 5]]
    return {"lowest_source": min(values), "highest_source": max(values)} if len(values) > 1 else {}


def _swap_result(curves: Curves, lags: tuple[int, ...], spec: SynchronySpec) -> tuple[MetricResult, Floats | None]:
    swapped, other = curves.swapped_NK, curves.other_N
    if swapped is None or other is None:
        return audio_swap_result("audio_swap_auc", None, len(curves), spec.seed), None

    def wins(own_NK: Floats, swapped_NK: Floats) -> Floats:
        own_N, swapped_N = (
            synchrony.pair_advantages(motion, curves.onset_NK, curves.use_NK, other, lags) for motion in (own_NK, swapped_NK)
        )  # fmt: skip
        return synchrony.audio_swap_wins(own_N, swapped_N)

    fake_N = wins(curves.fake_NK, swapped)
    real_N = wins(curves.real_NK, np.where(curves.use_NK[other], curves.real_NK[other], 0.0))
    # A control that does not depend on the audio is the same video twice: exactly the chance level.
    values: dict[str, float] = dict.fromkeys(curves.controls, 0.5)
    for name, motion_NK in curves.swapped_controls.items():
        values[name] = float(wins(curves.controls[name], motion_NK).mean())
    result = audio_swap_result("audio_swap_auc", fake_N, len(curves), spec.seed, real_N=real_N, controls=values)
    return result, fake_N


def audio_swap_result(
    name: str,
    wins_N: Floats | None,
    n: int,
    seed: int,
    *,
    real_N: Floats | None = None,
    controls: Mapping[str, float] | None = None,
) -> MetricResult:
    """The result of `synchrony.audio_swap_wins`.

    Args:
        wins_N: of the generated videos; None: no videos were generated from the audio of other videos (unavailable).
        n: number of images.
        real_N: of the real videos: that of the own clip, and that of the other clip instead of one from the other audio.
        controls: means of the control videos.
    """
    if wins_N is None:
        reason = "no videos were generated from the audio of other videos"
        return unavailable(name, reason, better="higher", n_real=n, n_fake=n)
    found = {"chance_level": 0.5}
    if real_N is not None:
        found["real"] = float(real_N.mean())
        found["real_low"], found["real_high"] = bootstrap_mean(real_N, seed)
    result = MetricResult(
        name=name, value=float(wins_N.mean()), better="higher", n_real=2 * n, n_fake=2 * n,
        interval=bootstrap_mean(wins_N, seed),
        protocol={"videos": "each image with its own audio and with that of another video",
                  "win": "the video scores higher with the audio it was generated from than with the other one",
                  "real": "the real video of the clip and that of the other clip, each with both audio signals"},
    )  # fmt: skip
    return result.with_controls(found | dict(controls or {}), scale=1.0)


def _motion_match_result(curves: Curves, spec: SynchronySpec) -> MetricResult:
    """Generated motion against real motion: does it have the timing of this clip, not that of another one?"""
    n, use = len(curves), curves.use_NK

    def wins(motion_NK: Floats) -> list[WinBlock]:
        return synchrony.song_wins(motion_NK, curves.real_NK, use, curves.sources)

    match_N, defined_N = synchrony.own_correlations(curves.fake_NK, curves.real_NK, use, use)
    fake = wins(curves.fake_NK)
    resampled = synchrony.song_auc(fake, bootstrap_weights(n, spec.seed, spec.num_resamples))
    result = MetricResult(
        name="motion_match_auc", value=float(synchrony.song_auc(fake)[0]), better="higher", n_real=n, n_fake=n,
        num_undefined=int((~defined_N).sum()), interval=percentile_interval(resampled),
        controls={"correlation": float(match_N.mean())},
        protocol={"compared": "motion curves of generated and real videos at lag 0, negatives as for sync_auc",
                  "mismatched": f"mean of {MISMATCHED_DRAWS} choices of the other clip"},
    )  # fmt: skip
    values = _control_values(curves, lambda motion: float(synchrony.song_auc(wins(motion))[0]), spec.seed)
    return result.with_controls(values, scale=1.0)


def _lag_result(curves: Curves, spec: SynchronySpec) -> MetricResult:
    n, lags = len(curves), synchrony.searched_lags(spec, curves.frames_per_second)

    def median(motion_NK: Floats) -> float:
        lag = synchrony.best_lags(motion_NK, curves.onset_NK, curves.use_NK, lags)[1]
        return float(np.median(lag)) / curves.frames_per_second

    best, _ = synchrony.best_lags(curves.fake_NK, curves.onset_NK, curves.use_NK, lags)
    values = _control_values(curves, median, spec.seed)
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
        results.append(result.with_controls(_control_values(curves, value_of, seed), scale=1.0))
    return results
