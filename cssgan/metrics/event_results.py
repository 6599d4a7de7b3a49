"""The event measures as `MetricResult`s, each with its controls; see `cssgan.metrics.events`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from cssgan.metrics import events
from cssgan.metrics.events import EventSpec, EventValues
from cssgan.metrics.region_truth import RegionTruth
from cssgan.metrics.result import Better, MetricResult, ProtocolValue, unavailable
from cssgan.metrics.statistics import bootstrap_mean
from cssgan.metrics.videos import Floats, Mask, ReadVideos, VideoPairs, Videos, mean_defined
from cssgan.metrics.word_reading import word_read_result
from cssgan.types import EvalWindows

GENERATED = "generated"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EventEvaluation:
    """Results of all event measures, and their values per video.

    Args:
        per_video: measure -> float64 (N,); NaN where it is not defined.
        of_controls: measure -> control -> float64 (N,); without `word_read`.
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
    """`event_match`, `event_f1`, `persistence`, `object_similarity`, `flicker_share`, `word_read`; with `truth` by region.

    Args:
        controls: name -> uint8 (N, T, H, W, 3), trivial videos of the same clips (first frame held, flash, mean of the
            song, mismatched, untrained). The real clips are added under the name ``real``.
        truth: regions and styles of rendered songs; None: pictures alone.
    """
    spec = spec or EventSpec()
    rates_N = np.array([float(rate) for rate in data.frame_rates])
    styles = None if truth is None else truth.styles(data.video_ids, data.start_seconds)
    negatives_NN = events.negatives(data.video_ids, styles, spec)
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
        of_region = _Region(suffix=suffix, values=of_sets, seconds_N=pairs.num_valid_N / rates_N, spec=spec)
        for result, items in of_region.all(negatives_NN):
            results.append(result)
            per_video[result.name] = items[GENERATED]
            of_controls[result.name] = {control: value_N for control, value_N in items.items() if control != GENERATED}
    word, word_N = word_read_result(pairs, data.object_words, rates_N, controls, spec.seed)
    return EventEvaluation(
        results=(*results, word), per_video={**per_video, word.name: word_N}, of_controls=of_controls
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Region:
    suffix: str
    values: Mapping[str, EventValues]
    seconds_N: Floats
    spec: EventSpec

    def all(self, negatives_NN: Mask) -> list[tuple[MetricResult, Mapping[str, Floats]]]:
        """Each result with its values per video of all sets."""
        real = self.values["real"].times
        tolerance = self.spec.tolerance_seconds
        pairs = events.clip_pairs(real, self.seconds_N, negatives_NN, tolerance)
        rates: dict[str, Floats] = {}
        undefined = 0
        for name, value in self.values.items():
            rates[name], shown = events.match_rates(value.times, pairs, tolerance)
            if name == GENERATED:
                undefined = int((~shown).sum())
        f1 = {name: events.f1_scores(value.times, real, tolerance) for name, value in self.values.items()}
        even = mean_defined(events.f1_scores(events.evenly_placed(real, self.seconds_N), real, tolerance))[0]
        other = self._f1_of_negatives(negatives_NN)
        extra = {name: value for name, value in (("evenly_placed", even), ("other_clip", other)) if value is not None}
        flicker = {name: value.flicker_N for name, value in self.values.items()}
        return [
            self._result(
                "event_match", rates, extra={"chance_level": 0.5}, undefined=undefined,
                reason="no two real clips of a group have different events in the time that they share",
                protocol={"negatives": "clips of the same source video, else of the same style, else all others",
                          "undefined": "videos without events: ties; and clips without comparison"},
            ),
            self._result("event_f1", f1, extra=extra, reason="no video has events", protocol={}),
            self._result(
                "persistence", {name: value.persistence_N for name, value in self.values.items()},
                reason="nothing lasts in any real clip", protocol={},
            ),
            self._result(
                "object_similarity", {name: value.similarity_N for name, value in self.values.items()},
                reason="nothing lasts in any real clip", protocol={},
            ),
            *([] if self.suffix else [
                self._result("flicker_share", flicker, better="neither", reason="no video changes, or all are too short", exempt=("mismatched",),
                    protocol={"compare_with": "real"},
                )
            ]),
        ]  # fmt: skip

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
        undefined: int | None = None,
        exempt: Sequence[str] = (),
    ) -> tuple[MetricResult, Mapping[str, Floats]]:
        value_N = values[GENERATED]
        count = len(value_N)
        value, missing = mean_defined(value_N)
        if value is None:
            return unavailable(name + self.suffix, reason, better=better, n_real=count, n_fake=count), values
        found = {
            control: mean
            for control, (mean, _) in ((control, mean_defined(items)) for control, items in values.items())
            if control != GENERATED and mean is not None
        }
        result = MetricResult(
            name=name + self.suffix, value=value, better=better, n_real=count, n_fake=count,
            num_undefined=missing if undefined is None else undefined, interval=bootstrap_mean(value_N, self.spec.seed),
            controls=dict(extra or {}), protocol={**asdict(self.spec), **protocol},
        )  # fmt: skip
        return result.with_controls(found, scale=1.0, exempt=exempt), values
