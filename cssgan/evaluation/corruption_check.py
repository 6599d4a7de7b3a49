"""Does every measure order what it should? Real clips against themselves, spoilt in known ways: the table of docs/metrics.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cssgan.evaluators.checkpoint import TrainedEvaluators
from cssgan.evaluators.suite import evaluator_results
from cssgan.metrics import corruptions, feature_suite, suite, synchrony, synchrony_suite
from cssgan.metrics.corruptions import Corruption, Name
from cssgan.metrics.motion import motion_curves, motion_mask
from cssgan.metrics.result import MetricResult, number
from cssgan.metrics.synchrony_suite import Curves
from cssgan.metrics.videos import Ints, VideoPairs, Videos
from cssgan.types import EvalWindows

Rising = Mapping[Name, int]
_UP, _DOWN = 1, -1
_PICTURES: Rising = {"blur": _UP, "noise": _UP}
_PAIRED: Rising = {"blur": _UP, "noise": _UP, "freeze": _UP, "shuffle": _UP, "wrong class": _UP}
_SOUND: Rising = {"freeze": _DOWN, "shuffle": _DOWN, "wrong audio": _DOWN}


def _against(rising: Rising) -> Rising:
    return {name: -direction for name, direction in rising.items()}


EXPECTED: Mapping[str, Rising] = {
    "l1": _PAIRED,
    "l1_over_copy_first": _PAIRED,
    "psnr": _against(_PAIRED),
    "ssim": _against(_PAIRED),
    "motion_ratio": {"noise": _UP, "freeze": _DOWN, "shuffle": _UP},
    "static_share": {"freeze": _UP},
    "motion_match_auc": {"freeze": _DOWN, "shuffle": _DOWN, "wrong class": _DOWN},
    "onset_motion_correlation": _SOUND,
    "sync_auc": _SOUND,
    "rfd_2d_fd64": _PICTURES,
    "rfd_2d_kd64": _PICTURES,
    "rfd_3d_fd64": {**_PICTURES, "freeze": _UP, "shuffle": _UP},
    "rfd_3d_kd64": {**_PICTURES, "freeze": _UP, "shuffle": _UP},
    # Its frames were blurred and noisy in training, so that it shall not see either.
    "class_accuracy": {"wrong class": _DOWN},
    "syncnet_auc": _SOUND,
    "syncnet_auc_shifted": _SOUND,
    "syncnet_confidence": _SOUND,
    "syncnet_offset": {"wrong audio": _UP},
    # A video that stops gives its last segment away, so only a wholly frozen one has no order.
    "order_pairs": {"shuffle": _DOWN},
    "order_accuracy": {"shuffle": _DOWN},
}
"""Measure -> corruption that it must tell, and whether it rises (1) or falls (-1) with the strength."""
ALSO_SHOWN = (
    "seam_ratio", "best_lag", "ba_max", "ba_min", "rfd_2d_precision", "rfd_2d_recall", "rfd_2d_density", "rfd_2d_coverage",
    "rfd_3d_precision", "rfd_3d_recall", "rfd_3d_density", "rfd_3d_coverage", "domain_is", "syncnet_top1",
)  # fmt: skip
"""Measures without a claim: they are in the table to be seen."""
ROUNDING = 1e-9
BY_SOUND = ("onset_motion_correlation", "sync_auc", "best_lag", "ba_max", "ba_min", "syncnet_")
"""Measures to which a wrong sound can make a difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One measure over all corruptions.

    Args:
        real: its value on real clips; None: unavailable.
        values: corruption -> values at rising strengths.
    """

    measure: str
    real: float | None
    values: Mapping[Name, tuple[float | None, ...]]

    def ordered(self, name: Name) -> bool | None:
        """Whether the values go from the real one in the direction that is expected, never back, and end further away; None
        where nothing is expected or there are no values."""
        direction = EXPECTED.get(self.measure, {}).get(name)
        found = [self.real, *self.values[name]]
        if direction is None or len(found) < 2 or any(value is None for value in found):
            return None
        steps = np.diff(np.array(found, np.float64)) * direction
        return bool((steps >= 0.0).all() and steps.sum() > 0.0)


def measure(
    data: EvalWindows,
    evaluators: TrainedEvaluators | None = None,
    *,
    names: Sequence[Name] = corruptions.NAMES,
    seed: int = 0,
    say: Callable[[str], None],
) -> list[Row]:
    """Every offline measure of real clips and of every corruption of them.

    Args:
        data: real windows; those with held frames are left out, for shuffled frames would lie among them.
        evaluators: None: their measures are unavailable.
        names: corruptions that are measured; the others have no values.
        say: told which corruption is measured.
    """
    data = _rows(data, np.flatnonzero(data.num_valid_N == data.video_NTHWC.shape[1]))
    say(f"real clips: {len(data)}")
    real = _measured(data, data.video_NTHWC, evaluators, seed)
    found: dict[Name, list[dict[str, float | None]]] = {name: [] for name in corruptions.NAMES}
    for one in (one for one in corruptions.table() if one.name in names):
        say(one.title)
        found[one.name].append(_corrupted(one, data, real, evaluators, seed))
    return [
        Row(
            measure=measure,
            real=real.get(measure),
            values={name: tuple(values.get(measure) for values in found[name]) for name in corruptions.NAMES},
        )
        for measure in (*EXPECTED, *ALSO_SHOWN)
    ]


def _corrupted(
    one: Corruption,
    data: EvalWindows,
    real: Mapping[str, float | None],
    evaluators: TrainedEvaluators | None,
    seed: int,
) -> dict[str, float | None]:
    rng = np.random.default_rng(seed)
    if one.video is not None:
        return _measured(data, one.video(data.video_NTHWC, rng), evaluators, seed)
    assert one.exchange is not None
    others = one.exchange(data.labels_N, data.video_ids, rng)
    if one.whole:
        return _measured(data, data.video_NTHWC[others], evaluators, seed)
    # The clips whose sounds are heard are the conditions, and the videos stay: only what compares with sound differs.
    heard = _measured(_rows(data, others), data.video_NTHWC, evaluators, seed)
    return {name: heard[name] if name.startswith(BY_SOUND) else value for name, value in real.items()}


def _measured(
    data: EvalWindows, fake: Videos, evaluators: TrainedEvaluators | None, seed: int
) -> dict[str, float | None]:
    pairs = VideoPairs(real_NTHWC=data.video_NTHWC, fake_NTHWC=fake, num_valid_N=data.num_valid_N)
    hops = np.array([synchrony.hops_per_frame(rate) for rate in data.frame_rates])
    curves = Curves(
        real_NK=motion_curves(data.video_NTHWC), fake_NK=motion_curves(fake), use_NK=motion_mask(pairs.valid),
        onset_NK=synchrony.onset_curves(data.raw_mels_NTMU, hops)[:, 1:], sources=data.video_ids,
        frames_per_second_N=np.array([float(rate) for rate in data.frame_rates]),
    )  # fmt: skip
    results: list[MetricResult] = [
        *suite.paired_results(pairs, seed=seed),
        *suite.motion_results(pairs, seed=seed),
        *synchrony_suite.synchrony_results(curves, synchrony.SynchronySpec(num_resamples=10, seed=seed)),
        *feature_suite.feature_results(pairs, seed),
        *evaluator_results(evaluators, pairs, data, seed=seed).results,
    ]
    return {result.name: _without_rounding(result.value) for result in results}


def _without_rounding(value: float | None) -> float | None:
    """Distances of equal sets are 0 but for the last digits of their sums."""
    return 0.0 if value is not None and abs(value) < ROUNDING else value


def _rows(data: EvalWindows, index: Ints) -> EvalWindows:
    return replace(
        data,
        keys=tuple(data.keys[n] for n in index),
        video_ids=tuple(data.video_ids[n] for n in index),
        labels_N=data.labels_N[index],
        video_NTHWC=data.video_NTHWC[index],
        raw_mels_NTMU=data.raw_mels_NTMU[index],
        mels_NTMU=data.mels_NTMU[index],
        num_valid_N=data.num_valid_N[index],
        frame_rates=tuple(data.frame_rates[n] for n in index),
    )


def markdown(rows: Sequence[Row]) -> str:
    """One line a measure; in bold where a corruption is ordered that the measure must tell, with a dagger where it is not."""
    heads: list[str] = []
    for name in corruptions.NAMES:
        kinds = [one for one in corruptions.table() if one.name == name]
        heads.append(f"{name} {' / '.join(f'{one.strength:g}' for one in kinds)} {kinds[0].unit}")
    lines = ["| " + " | ".join(("measure", "real", *heads)) + " |", "|" + " --- |" * (len(heads) + 2)]
    for row in rows:
        cells = [_cell(row, name) for name in corruptions.NAMES]
        lines.append("| " + " | ".join((row.measure, _number(row.real), *cells)) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: Row, name: Name) -> str:
    values = row.values[name]
    same = all(value == row.real for value in values)
    text = "=" if same else " / ".join(_number(value) for value in values)
    ordered = row.ordered(name)
    if ordered is None:
        return text
    return f"**{text}**" if ordered else f"{text} †"


def _number(value: float | None) -> str:
    return "-" if value is None else number(float(f"{value:.3g}"))


def disordered(rows: Sequence[Row]) -> list[str]:
    """What is not ordered although it should be, in words."""
    return [
        f"{row.measure} does not order {name}: {_number(row.real)}, then {', '.join(map(_number, row.values[name]))}"
        for row in rows
        for name in corruptions.NAMES
        if row.ordered(name) is False
    ]
