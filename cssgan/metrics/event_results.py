"""The event measures as `MetricResult`s, each with its controls; see `cssgan.metrics.events`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from cssgan.metrics import events
from cssgan.metrics.events import EventSpec, EventValues
from cssgan.metrics.region_truth import RegionTruth
from cssgan.metrics.result import CONTROL_NAMES, Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.statistics import bootstrap_mean, bootstrap_weights, percentile_interval, safe_ratios
from cssgan.metrics.videos import Floats, Mask, ReadVideos, VideoPairs, Videos, mean_defined
from cssgan.metrics.word_reading import word_read_result
from cssgan.types import EvalWindows

GENERATED = "generated"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EventEvaluation:
    """Results of all event measures, and their values per video.

    Args:
        per_video: measure -> float64 (N,); NaN where it is not defined. `event_match` has two columns,
            ``event_match_wins`` and ``event_match_comparisons``: it is the ratio of their sums.
        of_controls: the same columns -> control -> float64 (N,); without `word_read`.
    """

    results: tuple[MetricResult, ...]
    per_video: Mapping[str, Floats]
    of_controls: Mapping[str, Mapping[str, Floats]]


def event_results(
    pairs: VideoPairs,
    data: EvalWindows,
    controls: Mapping[str, Videos | ReadVideos],
    *,
    truth: RegionTruth | None = None,
    spec: EventSpec | None = None,
) -> EventEvaluation:
    """`event_match`, `event_f1`, `persistence`, `object_similarity`, `word_read` and others; with `truth` by region.

    Args:
        controls: name -> uint8 (N, T, H, W, 3), trivial videos of the same clips (first frame held, flash, mean of the
            song, mismatched, untrained). The real clips are added under the name ``real``.
        truth: regions of rendered songs; None: pictures alone.
    """
    spec = spec or EventSpec()
    rates_N = np.array([float(rate) for rate in data.frame_rates])
    regions: dict[str, Mask | None] = {"": None}
    if truth is not None:
        height, width = pairs.real_NTHWC.shape[2:4]
        regions |= {
            f"_{region}": truth.masks(
                region, data.video_ids, data.start_seconds, pairs.num_valid_N, rates_N, height, width
            )
            for region in ("letter", "object", "word")
        }
    results: list[MetricResult] = []
    per_video: dict[str, Floats] = {}
    of_controls: dict[str, dict[str, Floats]] = {}
    values = events.event_values(
        pairs.real_NTHWC, {GENERATED: pairs.fake_NTHWC, **controls}, pairs.num_valid_N, rates_N, spec, regions
    )
    for suffix, of_sets in values.items():
        of_region = _Region(
            suffix=suffix, values=of_sets, seconds_N=pairs.num_valid_N / rates_N, sources=data.video_ids, spec=spec
        )
        for result, columns in of_region.all():
            results.append(result)
            for column, items in columns.items():
                per_video[column] = items[GENERATED]
                of_controls[column] = {control: value_N for control, value_N in items.items() if control != GENERATED}
    words = data.object_words if spec.read_words else None
    word, word_N = word_read_result(pairs, words, rates_N, controls, spec.seed)
    return EventEvaluation(
        results=(*results, word), per_video={**per_video, word.name: word_N}, of_controls=of_controls
    )


Columns = Mapping[str, Mapping[str, Floats]]
"""Column of the values per video -> set -> float64 (N,)."""
FIXED_TIMES = "fixed_times"
"""Control: the song's typical event times (`events.fixed_times`). Events only, so it has no picture."""
OTHER_SONGS = (
    "negatives are clips of other songs: to know the typical times of the song is enough, not a result for gates"
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Region:
    suffix: str
    values: Mapping[str, EventValues]
    seconds_N: Floats
    sources: Sequence[str]
    spec: EventSpec

    def all(self) -> list[tuple[MetricResult, Columns]]:
        """Each result with its values per video of all sets."""
        real, tolerance = self.values["real"].times, self.spec.tolerance_seconds
        negatives_NN = events.negatives(self.sources, self.spec)
        times = {name: value.times for name, value in self.values.items()}
        times[FIXED_TIMES] = tuple(events.fixed_times(real, self.sources, tolerance))
        f1 = {name: events.f1_scores(found, real, tolerance) for name, found in times.items()}
        # A clip alone in its source video has no typical times of its song.
        f1[FIXED_TIMES][~negatives_NN.any(axis=1)] = np.nan
        even = mean_defined(events.f1_scores(events.evenly_placed(real, self.seconds_N), real, tolerance))[0]
        other = self._f1_of_negatives(negatives_NN)
        extra = {name: value for name, value in (("evenly_placed", even), ("other_clip", other)) if value is not None}
        false = {name: events.false_events(value.times, real) for name, value in self.values.items()}
        flicker = {name: value.flicker_N for name, value in self.values.items()}
        return [
            self._match_result(
                "event_match", times, negatives_NN, negatives="other clips of the same source video",
                reason="no two real clips of a source video have different events in the time that they share",
            ),
            self._result("event_f1", f1, extra=extra, reason="no real clip has events", protocol={}),
            self._result(
                "persistence", {name: value.persistence_N for name, value in self.values.items()},
                reason="nothing lasts in any real clip", protocol={},
            ),
            self._result(
                "object_similarity", {name: value.similarity_N for name, value in self.values.items()},
                reason="nothing lasts in any real clip", protocol={},
            ),
            *([] if self.suffix else [
                self._match_other_songs(),
                self._result(
                    "false_events", false, better="lower", reason="every real clip has an event", exempt=CONTROL_NAMES,
                    protocol={"value": "share of the clips without a real event whose video has one"},
                ),
                self._result("flicker_share", flicker, better="neither", reason="no video changes, or all are too short", exempt=("mismatched",),
                    protocol={"compare_with": "real"},
                )
            ]),
        ]  # fmt: skip

    def _match_other_songs(self) -> tuple[MetricResult, Columns]:
        """`event_match` of clips alone in their source video, against each other."""
        times = {name: value.times for name, value in self.values.items()}
        groups = ["all"] * len(self.sources)
        real = self.values["real"].times
        times[FIXED_TIMES] = tuple(events.fixed_times(real, groups, self.spec.tolerance_seconds))
        result, columns = self._match_result(
            "event_match_other_songs", times, events.negatives_of_other_songs(self.sources, self.spec),
            negatives="clips of other source videos",
            reason="no two clips that are alone in their source video have different events in the time that they share",
        )  # fmt: skip
        return (result if result.value is None else replace(result, caution=OTHER_SONGS)), columns

    def _match_result(
        self, name: str, times: Mapping[str, Sequence[events.Times]], negatives_NN: Mask, *, negatives: str, reason: str
    ) -> tuple[MetricResult, Columns]:
        """The ratio of wins and comparisons, and both per video."""
        name, count, tolerance = name + self.suffix, len(self.sources), self.spec.tolerance_seconds
        pairs = events.clip_pairs(self.values["real"].times, self.seconds_N, negatives_NN, tolerance)
        found = {key: events.match_counts(value, pairs, tolerance) for key, value in times.items()}
        columns = {
            f"{name}_wins": {key: wins_N for key, (wins_N, _, _) in found.items()},
            f"{name}_comparisons": {key: counts_N for key, (_, counts_N, _) in found.items()},
        }
        wins_N, counts_N, shown_N = found[GENERATED]
        compared_N = np.isfinite(wins_N)
        if not compared_N.any():
            return unavailable(name, reason, better="higher", n_real=count, n_fake=count), columns
        result = MetricResult(
            name=name, value=pooled(wins_N, counts_N), better="higher", n_real=count, n_fake=count,
            num_undefined=int((~compared_N).sum()), interval=pooled_interval(wins_N, counts_N, self.spec.seed),
            controls={"chance_level": 0.5},
            protocol={
                **asdict(self.spec), **compared(compared_N, self.sources), "negatives": negatives,
                "reduction": "sum of wins / sum of comparisons", "num_comparisons": len(pairs),
                "clips_without_events": int((compared_N & ~shown_N).sum()),
                "undefined": "clips without comparison; left out",
            },
        )  # fmt: skip
        controls = {key: pooled(*items[:2]) for key, items in found.items() if key != GENERATED}
        return result.with_controls(controls, scale=1.0), columns

    def _f1_of_negatives(self, negatives_NN: Mask) -> float | None:
        """Mean F1 of the events of each clip's negatives."""
        real, tolerance = self.values["real"].times, self.spec.tolerance_seconds
        values = [
            mean_defined(events.f1_scores([real[j] for j in others], [real[n]] * len(others), tolerance))[0]
            for n, others in enumerate(np.flatnonzero(row) for row in negatives_NN)
            if len(others)
        ]
        found = [value for value in values if value is not None]
        return float(np.mean(found)) if found else None

    def _result(
        self,
        name: str,
        values: Mapping[str, Floats],
        *,
        reason: str,
        protocol: Mapping[str, ProtocolValue],
        better: Better = "higher",
        extra: Mapping[str, float] | None = None,
        exempt: Sequence[str] = (),
    ) -> tuple[MetricResult, Columns]:
        name, value_N = name + self.suffix, values[GENERATED]
        columns, count = {name: values}, len(value_N)
        value, missing = mean_defined(value_N)
        if value is None:
            return unavailable(name, reason, better=better, n_real=count, n_fake=count), columns
        found = {
            control: mean
            for control, (mean, _) in ((control, mean_defined(items)) for control, items in values.items())
            if control != GENERATED and mean is not None
        }
        result = MetricResult(
            name=name, value=value, better=better, n_real=count, n_fake=count, num_undefined=missing,
            interval=bootstrap_mean(value_N, self.spec.seed), controls=dict(extra or {}),
            protocol={**asdict(self.spec), **compared(np.isfinite(value_N), self.sources), **protocol},
        )  # fmt: skip
        return result.with_controls(found, scale=1.0, exempt=exempt), columns


def compared(defined_N: Mask, sources: Sequence[str]) -> dict[str, ProtocolValue]:
    """Number of clips with a value, and of their source videos, for the protocol of a result."""
    return {"clips_compared": int(defined_N.sum()), "songs_compared": len(set(np.array(sources)[defined_N].tolist()))}


def pooled(wins_N: Floats, comparisons_N: Floats) -> float:
    """Sum of wins / sum of comparisons; NaN entries are left out."""
    return float(np.nansum(wins_N) / np.nansum(comparisons_N))


def pooled_interval(wins_N: Floats, comparisons_N: Floats, seed: int) -> tuple[float, float]:
    """95 % interval of `pooled`: bootstrap over clips."""
    wins_N, comparisons_N = (values[np.isfinite(comparisons_N)] for values in (wins_N, comparisons_N))
    weights_RN = bootstrap_weights(len(wins_N), seed)
    return percentile_interval(safe_ratios(weights_RN @ wins_N, weights_RN @ comparisons_N))
