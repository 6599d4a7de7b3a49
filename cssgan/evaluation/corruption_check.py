"""`cssgan metrics corruptions`: do the metrics order known corruptions of real clips? The table of docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cssgan.evaluators.checkpoint import TrainedEvaluators
from cssgan.evaluators.results import evaluator_results
from cssgan.metrics import synchrony
from cssgan.metrics.corruptions import NAMES, Corruption, Name, corruption_table
from cssgan.metrics.event_results import event_results
from cssgan.metrics.image_quality import image_quality_results
from cssgan.metrics.motion import motion_results
from cssgan.metrics.random_feature_distance import random_feature_results
from cssgan.metrics.result import SATURATION_MARGIN, MetricResult, format_number
from cssgan.metrics.synchrony_results import Curves, synchrony_results
from cssgan.metrics.videos import VideoPairs, Videos
from cssgan.types import EvalWindows

Trend = Mapping[Name, int]
Values = dict[str, float | None]
_UP, _DOWN = 1, -1
_APPEARANCE: Trend = {"blur": _UP, "noise": _UP}
_PAIRED: Trend = {"blur": _UP, "noise": _UP, "freeze": _UP, "shuffle": _UP, "wrong class": _UP}
_PAIRED_DOWN: Trend = dict.fromkeys(_PAIRED, _DOWN)
_SYNCHRONY: Trend = {"freeze": _DOWN, "shuffle": _DOWN, "wrong audio": _DOWN}

EXPECTED: Mapping[str, Trend] = {
    "l1": _PAIRED,
    "l1_over_copy_first": _PAIRED,
    "psnr": _PAIRED_DOWN,
    "ssim": _PAIRED_DOWN,
    "motion_ratio": {"noise": _UP, "freeze": _DOWN, "shuffle": _UP},
    "static_share": {"freeze": _UP},
    "motion_match_auc": {"freeze": _DOWN, "shuffle": _DOWN, "wrong class": _DOWN},
    "onset_motion_correlation": _SYNCHRONY,
    "sync_auc": _SYNCHRONY,
    "event_f1": {"freeze": _DOWN, "shuffle": _DOWN},
    "persistence": {"freeze": _DOWN},
    "object_similarity": {"freeze": _DOWN},
    "flicker_share": {"noise": _UP, "shuffle": _UP, "flash": _UP},
    "rfd_2d_fd64": _APPEARANCE,
    "rfd_2d_kd64": _APPEARANCE,
    "rfd_3d_fd64": {**_APPEARANCE, "freeze": _UP, "shuffle": _UP},
    "rfd_3d_kd64": {**_APPEARANCE, "freeze": _UP, "shuffle": _UP},
    # Its training frames are blurred and noisy, so that it is insensitive to both.
    "class_accuracy": {"wrong class": _DOWN},
    "syncnet_auc": _SYNCHRONY,
    "syncnet_auc_shifted": _SYNCHRONY,
    "syncnet_confidence": _SYNCHRONY,
    "syncnet_offset": {"wrong audio": _UP},
    # The held frames at the end of a partly frozen video identify its last chunk; only a wholly frozen one has no order.
    "order_pairs": {"shuffle": _DOWN},
    "order_accuracy": {"shuffle": _DOWN},
}
"""Metric -> corruption that it must order -> whether it rises (1) or falls (-1) with the strength."""
NOT_CHECKED = (
    "event_match", "seam_ratio", "best_lag", "ba_max", "ba_min", "rfd_2d_precision", "rfd_2d_recall", "rfd_2d_density", "rfd_2d_coverage",
    "rfd_3d_precision", "rfd_3d_recall", "rfd_3d_density", "rfd_3d_coverage", "domain_is", "syncnet_top1",
)  # fmt: skip
"""Metrics without an expected order, which the table shows too."""
CHANCE_LEVEL: Mapping[str, float] = {"onset_motion_correlation": 0.0, "sync_auc": 0.5}
"""Measures that have no order on clips whose motion does not follow their onsets: there, real clips are at this value."""
ROUNDING = 1e-9
AUDIO_METRICS = ("onset_motion_correlation", "sync_auc", "best_lag", "ba_max", "ba_min", "syncnet_")
"""Prefixes of the metrics that depend on the audio."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric over all corruptions.

    Args:
        real: its value on real clips; None: unavailable.
        values: corruption -> values at increasing strengths.
    """

    metric: str
    real: float | None
    values: Mapping[Name, tuple[float | None, ...]]

    def ordered(self, name: Name) -> bool | None:
        """Whether the values change monotonically from the real value in the expected direction, and at all.

        None if no order is expected, a value is missing, or real clips are at the measure's chance level.
        """
        direction = EXPECTED.get(self.metric, {}).get(name)
        found = [self.real, *self.values[name]]
        if direction is None or len(found) < 2 or any(value is None for value in found):
            return None
        if self.metric in CHANCE_LEVEL and (self.real or 0.0) - CHANCE_LEVEL[self.metric] <= SATURATION_MARGIN:
            return None
        steps = np.diff(np.array(found, np.float64)) * direction
        return bool((steps >= 0.0).all() and steps.sum() > 0.0)


def check_corruptions(
    data: EvalWindows,
    evaluators: TrainedEvaluators | None = None,
    *,
    names: Sequence[Name] = NAMES,
    on_progress: Callable[[str], None],
) -> list[Row]:
    """All metrics without pretrained networks, of real clips and of all their corruptions.

    Args:
        data: real windows; those with held frames are ignored, because shuffling would move them into the clip.
        evaluators: None: their metrics are unavailable.
        names: corruptions that are used; the others have no values.
        on_progress: called with the current corruption.
    """
    data = data.select(np.flatnonzero(data.num_valid_N == data.video_NTHWC.shape[1]))
    on_progress(f"real clips: {len(data)}")
    real = _metrics(data, data.video_NTHWC, evaluators)
    found: dict[Name, list[Values]] = {name: [] for name in NAMES}
    for corruption in corruption_table():
        if corruption.name in names:
            on_progress(corruption.title)
            found[corruption.name].append(_corrupted_metrics(corruption, data, real, evaluators))
    return [
        Row(
            metric=metric,
            real=real.get(metric),
            values={name: tuple(values.get(metric) for values in found[name]) for name in NAMES},
        )
        for metric in (*EXPECTED, *NOT_CHECKED)
    ]


def _corrupted_metrics(
    corruption: Corruption, data: EvalWindows, real: Values, evaluators: TrainedEvaluators | None
) -> Values:
    rng = np.random.default_rng(0)
    rates_N = np.array([float(rate) for rate in data.frame_rates])
    if corruption.corrupt is not None:
        return _metrics(data, corruption.corrupt(data.video_NTHWC, rates_N, rng), evaluators)
    assert corruption.exchange is not None
    others = corruption.exchange(data.labels_N, data.video_ids, rng)
    if corruption.whole_clip:
        return _metrics(data, data.video_NTHWC[others], evaluators)
    # The videos stay and the conditions change, so only the metrics that depend on the audio are taken from there.
    swapped = _metrics(data.select(others), data.video_NTHWC, evaluators)
    return {name: swapped[name] if name.startswith(AUDIO_METRICS) else value for name, value in real.items()}


def _metrics(data: EvalWindows, fake: Videos, evaluators: TrainedEvaluators | None) -> Values:
    pairs = VideoPairs(real_NTHWC=data.video_NTHWC, fake_NTHWC=fake, num_valid_N=data.num_valid_N)
    curves = Curves.of_videos(pairs, data, synchrony.window_onset_curves(data))
    results: list[MetricResult] = [
        *image_quality_results(pairs),
        *motion_results(pairs),
        *synchrony_results(curves, synchrony.SynchronySpec(num_resamples=10)).results,
        *event_results(pairs, data, {}).results,
        *random_feature_results(pairs),
        *evaluator_results(evaluators, pairs, data).results,
    ]
    return {result.name: _without_rounding(result.value) for result in results}


def _without_rounding(value: float | None) -> float | None:
    """Distances of equal sets are 0 except for rounding errors."""
    return 0.0 if value is not None and abs(value) < ROUNDING else value


def markdown(rows: Sequence[Row]) -> str:
    """One line per metric. Bold: ordered as expected; dagger: not ordered although expected."""
    heads: list[str] = []
    for name in NAMES:
        same = [corruption for corruption in corruption_table() if corruption.name == name]
        heads.append(f"{name} {' / '.join(f'{corruption.strength:g}' for corruption in same)} {same[0].unit}")
    lines = ["| " + " | ".join(("metric", "real", *heads)) + " |", "|" + " --- |" * (len(heads) + 2)]
    for row in rows:
        cells = [_cell(row, name) for name in NAMES]
        lines.append("| " + " | ".join((row.metric, _number(row.real), *cells)) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Row, name: Name) -> str:
    values = row.values[name]
    same = all(value == row.real for value in values)
    text = "=" if same else " / ".join(map(_number, values))
    ordered = row.ordered(name)
    if ordered is None:
        return text
    return f"**{text}**" if ordered else f"{text} †"


def _number(value: float | None) -> str:
    return "-" if value is None else format_number(float(f"{value:.3g}"))


def failures(rows: Sequence[Row]) -> list[str]:
    """The metrics that do not order a corruption although they should, one line each."""
    return [
        f"{row.metric} does not order {name}: {_number(row.real)}, then {', '.join(map(_number, row.values[name]))}"
        for row in rows
        for name in NAMES
        if row.ordered(name) is False
    ]
