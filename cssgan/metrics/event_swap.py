"""Audio swap test of events: do the events of a video follow the audio that it was generated from?

Each image is used with its own audio and with that of another clip of the song. Of both videos the events
(`cssgan.metrics.events`) are compared with those of the two real clips: a video wins if its events coincide better with
those of the clip whose audio it was generated from. A flash is no event. A generator that ignores its audio makes the same
video twice, which wins once and loses once, since both clips have the same frame rate and only the time that both have counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from cssgan.metrics.event_results import compared
from cssgan.metrics.events import EventSpec, Times, coincidence, event_times
from cssgan.metrics.result import MetricResult, unavailable
from cssgan.metrics.statistics import bootstrap_mean
from cssgan.metrics.synchrony import random_cycles
from cssgan.metrics.videos import Floats, Ints, ReadVideos, blocks, mean_defined
from cssgan.types import EvalWindows

NAME = "event_swap_auc"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SwappedEvents:
    """Event times of the videos of each image with its own and with another audio.

    Args:
        own, swapped: name -> times of each video; ``generated``, ``real`` (the two real clips) and controls.
        other_N: the clip whose audio was used for `swapped`.
    """

    own: Mapping[str, Sequence[Times]]
    swapped: Mapping[str, Sequence[Times]]
    other_N: Ints


def swap_partners(sources: Sequence[str], frame_rates: Sequence[Fraction], rng: np.random.Generator) -> Ints:
    """For each clip, another clip of its source video and frame rate (one random cycle through them); -1 without any.

    Clips of other songs would measure whether the model knows the song. With another frame rate, the same frames of a
    generator that ignores its audio would lie at other times.
    """
    groups: dict[tuple[str, Fraction], list[int]] = {}
    for n, group in enumerate(zip(sources, frame_rates, strict=True)):
        groups.setdefault(group, []).append(n)
    cycles = (np.array(members) for members in groups.values() if len(members) > 1)
    return random_cycles(cycles, len(sources), rng)


def times_of(read: ReadVideos, data: EvalWindows, num_frames_N: Ints, spec: EventSpec) -> list[Times]:
    """Event times of a set of videos, a block at a time.

    Args:
        read: rows of the set -> videos.
        num_frames_N: frames of each video that are used.
    """
    out: list[Times] = []
    for rows in blocks(len(data), 32, data.video_NTHWC, data.mels_NTMU):
        for video, count, rate in zip(read(rows), num_frames_N[rows], data.frame_rates[rows], strict=True):
            out.append(event_times(video[: int(count)], float(rate), spec))
    return out


def swap_wins(own: Sequence[Times], swapped: Sequence[Times], real: Sequence[Times], seconds_N: Floats, other_N: Ints,
              tolerance_seconds: float) -> Floats:  # fmt: skip
    """float64 (N,) in {0, .25, .5, .75, 1}: mean of both wins; NaN where one of the two real clips has no event.

    Only events in the time that both real clips have are compared. Equal coincidence is a tie, .5.

    Args:
        own, swapped: events of the videos of image n with its own audio and with that of clip ``other_N[n]``.
        real: events of the real clips.
        seconds_N: duration of each clip.
    """
    out = np.full(len(real), np.nan)
    for n, other in enumerate(other_N):
        end = min(seconds_N[n], seconds_N[other])
        first, second, a, b = (times[times < end] for times in (real[n], real[other], own[n], swapped[n]))
        if len(first) and len(second):
            differences = (
                coincidence(a, first, tolerance_seconds) - coincidence(a, second, tolerance_seconds),
                coincidence(b, second, tolerance_seconds) - coincidence(b, first, tolerance_seconds),
            )
            out[n] = np.mean(0.5 + 0.5 * np.sign(differences))
    return out


def event_swap_result(
    found: SwappedEvents, data: EvalWindows, spec: EventSpec, num_alone: int = 0
) -> tuple[MetricResult, Floats]:
    """The result and the values per video.

    Args:
        data: the clips that have another one.
        num_alone: clips without; not defined.
    """
    n, real = len(data) + num_alone, found.own["real"]
    seconds_N = data.num_valid_N / np.array([float(rate) for rate in data.frame_rates])
    values = {
        name: swap_wins(found.own[name], swapped, real, seconds_N, found.other_N, spec.tolerance_seconds)
        for name, swapped in found.swapped.items()
    }
    generated = values.pop("generated")
    value, undefined = mean_defined(generated)
    defined_N = ~np.isnan(generated)
    if value is None:
        reason = "no two real clips of a song have events in the time that they share"
        return unavailable(NAME, reason, better="higher", n_real=n, n_fake=2 * n), generated
    controls = {name: mean for name, items in values.items() if (mean := mean_defined(items)[0]) is not None}
    result = MetricResult(
        name=NAME, value=value, better="higher", n_real=n, n_fake=2 * n, num_undefined=undefined + num_alone,
        interval=bootstrap_mean(generated, spec.seed), controls={"chance_level": 0.5},
        protocol={**compared(defined_N, data.video_ids),
                  "videos": "each image with its own audio and with that of another clip of its source video and frame rate",
                  "win": "the events coincide better with those of the real clip of this audio than of the other",
                  "tolerance_seconds": spec.tolerance_seconds,
                  "undefined": "clips without another one, and pairs of which one has no event in the shared time; left out"},
    )  # fmt: skip
    return result.with_controls(controls, scale=1.0), generated
