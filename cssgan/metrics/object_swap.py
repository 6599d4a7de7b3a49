"""Object swap test: does a model with `model.object_condition` show the object that it is given?

Each image is used with its own audio and, instead of its own object, with that of another clip. What has appeared at the end
of both videos is compared with the real clip (`cssgan.metrics.events.change_similarity`). The difference of the two
similarities is 0 for a model that ignores the picture, and for a picture that is placed where nothing appears in the real clip.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cssgan.metrics.conditions import Generate, generate_rows
from cssgan.metrics.event_results import compared
from cssgan.metrics.events import EventSpec, LastingChanges, VideoChange, change_similarity, lasting_changes
from cssgan.metrics.result import MetricResult, unavailable
from cssgan.metrics.statistics import bootstrap_weights, percentile_interval, safe_ratios
from cssgan.metrics.synchrony import random_cycles
from cssgan.metrics.videos import Floats, Ints, blocks, mean_defined
from cssgan.types import EvalWindows

NAME = "object_swap"


def object_partners(data: EvalWindows, rng: np.random.Generator) -> Ints:
    """For each clip with an object picture, another one of its source video with another object; -1 without any.

    Clips that are the only one with a picture in their source video are exchanged with each other.
    """
    none = np.full(len(data), -1, np.int64)
    if data.objects_NHWC is None:
        return none
    groups: dict[str, list[int]] = {}
    for n in np.flatnonzero(data.objects_NHWC[..., 3].any(axis=(1, 2))).tolist():
        groups.setdefault(data.video_ids[n], []).append(n)
    alone = [members[0] for members in groups.values() if len(members) == 1]
    cycles = [np.array(members) for members in (*groups.values(), alone) if len(members) > 1]
    partner = random_cycles(cycles, len(data), rng)
    for n, other in enumerate(partner):
        same_word = data.object_words[n] and data.object_words[n] == data.object_words[other]
        if other >= 0 and (same_word or np.array_equal(data.objects_NHWC[n], data.objects_NHWC[other])):
            partner[n] = -1
    return partner


def similarities(models: Mapping[str, tuple[Generate, Ints]], data: EvalWindows, spec: EventSpec) -> dict[str, Floats]:
    """name -> float64 (N,): `change_similarity` to the real clip; NaN where nothing stays in it.

    Args:
        models: name -> a generator, and for each clip the clip whose object it gets.
    """
    values = {name: np.full(len(data), np.nan) for name in models}
    for rows in blocks(len(data), 32, data.video_NTHWC, data.mels_NTMU):
        changes: list[tuple[NDArray[np.uint8], LastingChanges]] = []
        for n in range(rows.start, rows.stop):
            real = np.ascontiguousarray(data.video_NTHWC[n, : data.num_valid_N[n]])
            changes.append((real, lasting_changes(VideoChange.of(real, float(data.frame_rates[n])), spec)))
        for name, (model, objects_N) in models.items():
            videos = generate_rows(model, data, rows, objects=objects_N[rows])
            values[name][rows] = [
                change_similarity(real, video[: len(real)], found)
                for video, (real, found) in zip(videos, changes, strict=True)
            ]
    return values


def object_swap_result(
    generate: Generate, untrained: Generate | None, data: EvalWindows, spec: EventSpec
) -> tuple[MetricResult, Floats]:
    """The mean difference between right and other object, with the values per video.

    Args:
        generate: a model that takes objects.
        untrained: a model of the same configuration with random weights, a control.
        data: whole phrases.
    """
    count, value_N = len(data), np.full(len(data), np.nan)
    partner = object_partners(data, np.random.default_rng(spec.seed))
    chosen = np.flatnonzero(partner >= 0)
    if not len(chosen):
        reason = "no two clips with different object pictures"
        return unavailable(NAME, reason, better="higher", n_real=count, n_fake=2 * count), value_N
    # Clips and their partners; a partner that has none itself is not measured.
    used = np.union1d(chosen, partner[chosen])
    some = data.select(used)
    own = np.arange(len(used))
    other = np.where(partner[used] >= 0, np.searchsorted(used, partner[used]), own)
    models = {"right_object": (generate, own), "other_object": (generate, other)}
    if untrained is not None:
        models |= {"untrained_right": (untrained, own), "untrained_other": (untrained, other)}
    found = similarities(models, some, spec)
    difference = np.where(partner[used] >= 0, found["right_object"] - found["other_object"], np.nan)
    value_N[used] = difference
    value, _ = mean_defined(difference)
    if value is None:
        reason = "nothing lasts in any real clip with an object picture"
        return unavailable(NAME, reason, better="higher", n_real=count, n_fake=2 * count), value_N
    defined_N = np.isfinite(value_N)
    controls = {"chance_level": 0.0} | {
        name: float(found[name][np.isfinite(difference)].mean()) for name in ("right_object", "other_object")
    }
    if untrained is not None:
        of_untrained = (found["untrained_right"] - found["untrained_other"])[np.isfinite(difference)]
        controls["untrained"] = float(of_untrained.mean())
    sources = np.array(data.video_ids)
    result = MetricResult(
        name=NAME, value=value, better="higher", unit="cosine", n_real=count, n_fake=2 * count,
        num_undefined=int((~defined_N).sum()), interval=_interval_by_song(value_N[defined_N], sources[defined_N].tolist(), spec),
        controls=controls,
        protocol={**compared(defined_N, data.video_ids),
                  "videos": "each image with its own object and with that of another clip, of its source video if it has one",
                  "value": "similarity to the real clip with its own object minus that with the other one",
                  "interval": "bootstrap over source videos",
                  "undefined": "clips without object picture or partner, or in which nothing lasts; left out"},
    )  # fmt: skip
    return result, value_N


def _interval_by_song(value_N: Floats, sources: list[str], spec: EventSpec) -> tuple[float, float] | None:
    """95 % interval of the mean, by resampling source videos; None with fewer than two."""
    names, song_N = np.unique(np.array(sources), return_inverse=True)
    if len(names) < 2:
        return None
    weights_RG = bootstrap_weights(len(names), spec.seed)
    sums, counts = np.bincount(song_N, value_N), np.bincount(song_N).astype(np.float64)
    return percentile_interval(safe_ratios(weights_RG @ sums, weights_RG @ counts))
