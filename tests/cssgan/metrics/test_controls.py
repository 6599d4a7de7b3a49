"""Control videos: what each shows, and that blocks, frame rates and short clips change nothing."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from cssgan.metrics.controls import FLASH_GREY_LEVELS, ControlVideos, other_clips
from cssgan.types import EvalWindows
from phonics_data.contract.labels import LETTERS
from tests.cssgan.metrics import toy_scenes

FRAMES = 12


def windows(
    sources: tuple[str, ...], levels: NDArray[np.uint8], *, rates: tuple[int, ...] = (), valid: tuple[int, ...] = ()
) -> EvalWindows:
    """Grey videos: frame t of clip n has the level levels[n, t]."""
    n, frames = levels.shape
    when = toy_scenes.events(n, frames, np.random.default_rng(0))
    mels = toy_scenes.mels_of(when)
    return EvalWindows(
        keys=tuple(f"clip-{k}" for k in range(n)), video_ids=sources, label_set=LETTERS, labels_N=np.arange(n),
        video_NTHWC=np.broadcast_to(levels[:, :, None, None, None], (n, frames, 8, 8, 3)).copy(),
        raw_mels_NTMU=mels, mels_NTMU=mels, num_valid_N=np.array(valid or (frames,) * n, np.int64),
        frame_rates=tuple(Fraction(rate) for rate in rates or (25,) * n), start_seconds=(0.0,) * n,
        object_words=("",) * n,
    )  # fmt: skip


def rising(count: int) -> NDArray[np.uint8]:
    """Clip n has the level 10 n + t."""
    return (10 * np.arange(count)[:, None] + np.arange(FRAMES)).astype(np.uint8)


def levels_of(controls: ControlVideos, name: str, rows: slice = slice(None)) -> list[list[int]]:
    return controls.read(name, rows)[:, :, 0, 0, 0].tolist()  # type: ignore[arg-type]


def test_held_repeats_the_first_frame() -> None:
    assert levels_of(ControlVideos(data=windows(("a", "a"), rising(2))), "held") == [[0] * FRAMES, [10] * FRAMES]


def test_flash_is_the_first_frame_brighter_at_onsets_only() -> None:
    data = windows(("a",) * 3, rising(3))
    when = toy_scenes.events(3, FRAMES, np.random.default_rng(0))
    found = np.array(levels_of(ControlVideos(data=data), "flash")) - 10 * np.arange(3)[:, None]

    assert found.max(axis=1).tolist() == [FLASH_GREY_LEVELS] * 3
    quiet = ~(when | np.roll(when, 1, axis=1) | np.roll(when, -1, axis=1))
    assert not found[quiet].any()


def test_the_mean_of_the_song_leaves_the_clip_itself_out() -> None:
    controls = ControlVideos(data=windows(("a", "a", "a", "b", "b"), rising(5)))
    assert levels_of(controls, "song_mean")[0] == [15 + t for t in range(FRAMES)]
    assert levels_of(controls, "song_mean")[3] == [40 + t for t in range(FRAMES)]


def test_a_clip_alone_in_its_source_gets_the_mean_of_all_others() -> None:
    controls = ControlVideos(data=windows(("a", "a", "b"), rising(3)))
    assert levels_of(controls, "song_mean")[2] == [5 + t for t in range(FRAMES)]


def test_only_valid_frames_enter_the_mean_and_the_last_one_is_held() -> None:
    controls = ControlVideos(data=windows(("a",) * 3, rising(3), valid=(FRAMES, 4, 2)))
    found = levels_of(controls, "song_mean")
    assert found[0] == [15, 16, 12, 13, *[13] * 8]
    assert found[1][:4] == [10, 11, 2, 3]


def test_a_window_that_begins_later_gets_the_mean_of_that_time() -> None:
    whole = windows(("a",) * 3, rising(3))
    later = replace(whole, start_seconds=(0.2, 0.0, 0.0))
    found = levels_of(ControlVideos(data=later, whole_clips=whole), "song_mean")
    assert found[0] == [*range(20, 27), *[26] * 5]
    assert found[1] == [10 + t for t in range(FRAMES)]


def test_clips_of_another_frame_rate_are_shown_at_the_same_times() -> None:
    controls = ControlVideos(data=windows(("a", "b"), rising(2), rates=(25, 50)))
    assert levels_of(controls, "mismatched")[0] == [*range(10, 22, 2), *[21] * 6]
    assert levels_of(controls, "song_mean")[0] == [*range(10, 22, 2), *[20] * 6]
    assert levels_of(controls, "mismatched")[1] == [t // 2 for t in range(FRAMES)]


def test_mismatched_videos_are_other_clips_of_the_same_source() -> None:
    sources = ("a",) * 4 + ("b",) * 3 + ("c",)
    other = other_clips(sources, np.random.default_rng(1))
    assert sorted(other[:7].tolist()) == list(range(7))
    assert all(sources[n] == sources[other[n]] and n != other[n] for n in range(7))
    assert other[7] != 7


def test_blocks_give_the_same_videos_as_the_whole_set() -> None:
    def untrained(images: NDArray[np.uint8], mels: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        return np.repeat(images[:, None] + labels.astype(np.uint8)[:, None, None, None, None], mels.shape[1], axis=1)

    controls = ControlVideos(data=windows(("a", "a", "b", "b", "b"), rising(5)), untrained=untrained)
    assert set(controls.names) == {"held", "flash", "untrained", "song_mean", "mismatched"}
    for name in controls.names:
        parts = [controls.read(name, slice(start, start + 2)) for start in range(0, 5, 2)]
        assert np.array_equal(np.concatenate(parts), controls.reader(name)(slice(0, 5))), name
        assert np.concatenate(parts).dtype == np.uint8


def test_controls_that_do_not_exist_are_refused() -> None:
    one = ControlVideos(data=windows(("a",), rising(1)))
    assert one.names == ("held", "flash")
    with pytest.raises(ValueError, match="available for this set: held, flash"):
        one.read("untrained", slice(None))
    with pytest.raises(ValueError, match="2 or more"):
        other_clips(("a",), np.random.default_rng(0))
    with pytest.raises(ValueError, match="other clips than data"):
        ControlVideos(data=windows(("a", "a"), rising(2)), whole_clips=windows(("a",), rising(1)))
