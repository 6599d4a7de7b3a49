"""The object swap test: a model that shows its object, models that ignore it, and the choice of partners."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cssgan.metrics.conditions import Generate, Images, Mels, ObjectGenerate, Objects
from cssgan.metrics.events import EventSpec
from cssgan.metrics.object_swap import object_partners, object_swap_result
from cssgan.metrics.videos import Ints, Videos
from cssgan.types import EvalWindows
from tests.cssgan.metrics import toy_phrases

SPEC = EventSpec()


def with_pictures(data: EvalWindows, phrases: toy_phrases.Phrases) -> EvalWindows:
    """The windows with the pictures of their objects; the first clip has none."""
    pictures = np.zeros((len(data), 16, 16, 4), np.uint8)
    pictures[1:, 1:15, 1:15, :3] = phrases.objects_NHWC[1:]
    pictures[1:, 1:15, 1:15, 3] = 255
    return replace(data, objects_NHWC=pictures, object_words=tuple(f"word{n}" for n in range(len(data))))


@pytest.fixture(scope="module", name="scene")
def _scene() -> tuple[toy_phrases.Phrases, EvalWindows]:
    phrases, data = toy_phrases.make(num_songs=2, clips_per_song=4)
    return phrases, with_pictures(data, phrases)


def showing(data: EvalWindows, *, at: tuple[int, int] = (16, 9)) -> ObjectGenerate:
    """The real video of each image, with the object that is given instead of its own."""

    def generate(images: Images, mels: Mels, labels: Ints, objects: Objects | None) -> Videos:
        videos = data.video_NTHWC[toy_phrases.rows_of(data, labels, images)].copy()
        for n, video in enumerate(videos):
            video[:] = video[0]
            if objects is not None:
                video[20:, at[0] : at[0] + 14, at[1] : at[1] + 14] = objects.pictures_NHWC[n, 1:15, 1:15, :3]
        return videos

    return ObjectGenerate(generate)


def test_the_right_object_is_more_similar_and_the_interval_is_by_song(
    scene: tuple[toy_phrases.Phrases, EvalWindows],
) -> None:
    _, data = scene
    held: Generate = lambda images, mels, labels: np.repeat(images[:, None], data.video_NTHWC.shape[1], axis=1)  # noqa: E731

    result, value_N = object_swap_result(showing(data), held, data, SPEC)

    assert result.value is not None
    assert result.value > 0.1
    assert result.controls["right_object"] - result.controls["other_object"] == pytest.approx(result.value)
    assert result.controls["untrained"] == 0.0
    assert result.interval is not None
    assert 0.0 < result.interval[0] <= result.value <= result.interval[1]
    assert np.isnan(value_N[0])
    assert result.num_undefined == 1
    assert result.protocol["songs_compared"] == 2


def test_a_model_that_ignores_the_object_has_exactly_zero(scene: tuple[toy_phrases.Phrases, EvalWindows]) -> None:
    _, data = scene
    ignoring = ObjectGenerate(
        lambda images, mels, labels, objects: data.video_NTHWC[toy_phrases.rows_of(data, labels, images)]
    )
    result, _ = object_swap_result(ignoring, None, data, SPEC)
    assert result.value == 0.0
    assert result.interval == (0.0, 0.0)


def test_an_object_at_another_place_counts_little(scene: tuple[toy_phrases.Phrases, EvalWindows]) -> None:
    _, data = scene
    there, elsewhere = (
        object_swap_result(showing(data, at=at), None, data, SPEC)[0].value for at in ((16, 9), (0, 18))
    )
    assert there is not None
    assert elsewhere is not None
    assert elsewhere < 0.3 * there


def test_partners_are_of_the_same_song_with_another_object(scene: tuple[toy_phrases.Phrases, EvalWindows]) -> None:
    _, data = scene
    partner = object_partners(data, np.random.default_rng(0))
    assert partner[0] == -1
    assert sorted(partner[1:4].tolist()) == [1, 2, 3]
    assert sorted(partner[4:].tolist()) == [4, 5, 6, 7]
    assert (partner != np.arange(8)).all()

    assert data.objects_NHWC is not None
    pictures = data.objects_NHWC.copy()
    pictures[4:] = pictures[4]
    same = object_partners(replace(data, objects_NHWC=pictures), np.random.default_rng(0))
    assert (same[4:] == -1).all()
    words = replace(data, object_words=("lion",) * 8)
    assert (object_partners(words, np.random.default_rng(0)) == -1).all()
    alone = replace(data, video_ids=tuple(f"song-{n}" for n in range(8)))
    assert sorted(object_partners(alone, np.random.default_rng(0))[1:].tolist()) == list(range(1, 8))


def test_without_pictures_there_is_no_value(scene: tuple[toy_phrases.Phrases, EvalWindows]) -> None:
    _, data = scene
    for none in (None, np.zeros((8, 16, 16, 4), np.uint8)):
        result, value_N = object_swap_result(showing(data), None, replace(data, objects_NHWC=none), SPEC)
        assert result.unavailable == "no two clips with different object pictures"
        assert np.isnan(value_N).all()
