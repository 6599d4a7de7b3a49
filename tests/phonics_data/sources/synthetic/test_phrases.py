"""Songs of the family ``phrases``: plans, splits, and the ground truth compared with the pixels of rendered videos."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from phonics_data.contract.change import lasting_change, median_frames
from phonics_data.contract.picture import decode_png
from phonics_data.errors import OptionError
from phonics_data.sources.synthetic.phrases_plan import PhrasesPlan, plan_phrases_song
from phonics_data.sources.synthetic.render import read_truth, render_song, render_songs, write_tables
from phonics_data.sources.synthetic.splits import split_songs
from phonics_data.sources.synthetic.styles import STYLES, UNSEEN_STYLES, Style, style_named
from phonics_data.sources.synthetic.timeline import build_timeline, true_segments
from phonics_data.storage.manifest import read_manifest
from phonics_data.storage.object_table import read_objects

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALL_STYLES = (*STYLES, *UNSEEN_STYLES)

# Plans ---------------------------------------------------------------------------------------------------------------


def test_plans_depend_on_seed_index_and_collection_only() -> None:
    assert plan_phrases_song(1, 7) == plan_phrases_song(1, 7)
    assert len({plan_phrases_song(seed, 7).digest() for seed in range(20)}) == 20
    assert plan_phrases_song(1, 7, collection="test").sections != plan_phrases_song(1, 7).sections


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_songs_cover_letters_styles_and_captions(seed: int) -> None:
    plans = [plan_phrases_song(seed, index) for index in range(20)]
    counts = Counter(letter for plan in plans for letter in plan.letters)
    assert set(counts) == set(LETTERS)
    assert min(counts.values()) >= 6
    assert Counter(plan.style for plan in plans) == {style.name: 2 for style in STYLES}
    assert {plan.captions for plan in plans} == {"words", "cues", "none"}
    assert len({plan.voice for plan in plans}) > 8
    assert len({plan.beats_per_minute for plan in plans}) > 8
    for plan in plans:
        assert list(plan.letters) == sorted(plan.letters)
        words = [(section.letter, section.pictures[0].word) for section in plan.sections if section.pictures]
        assert len(words) == len(set(words)) == len(plan.letters)


def word_seconds(plan: PhrasesPlan) -> NDArray[np.float64]:
    """(phrases,) start of the object's word, from the start of its phrase."""
    segments = true_segments(plan, build_timeline(plan))
    starts: list[float] = []
    for segment in segments:
        assert segment.object_word is not None
        first = segment.object_word.split()[0]
        starts.append(next(word.start_seconds for word in segment.words if word.text == first) - segment.start_seconds)
    return np.array(starts)


def test_the_time_of_the_word_differs_between_the_phrases_of_a_song() -> None:
    """The sound alone says when: phrases of a song seldom agree within the 0.12 s of the event measures."""
    shares: list[float] = []
    for index in range(0, 20, 2):  # one song of each style
        starts = word_seconds(plan_phrases_song(3, index))
        apart = np.abs(starts[:, None] - starts)[np.triu_indices(len(starts), 1)]
        shares.append(float(np.mean(apart <= 0.12)))
        assert starts.min() >= 0.8
        assert np.ptp(starts) > 1.0
    assert np.mean(shares) < 0.2
    assert max(shares) < 0.3


def test_songs_have_the_frame_rates_of_real_ones() -> None:
    rates = {round(plan_phrases_song(1, index).frame_rate, 2) for index in range(10)}
    assert rates == {24, 25, 29.97}


def test_object_words_name_things() -> None:
    words = {section.pictures[0].word for index in range(40) for section in plan_phrases_song(1, index).sections[1:-1]}
    assert not words & {"up", "yes", "quick", "ice cream"}
    assert {"ice", "umbrella"} <= words


def test_styles_differ_in_look_and_movement() -> None:
    assert len(STYLES) >= 10
    assert len(UNSEEN_STYLES) >= 2
    looks = [(style.backdrop, style.font, style.letter_box, style.object_box) for style in ALL_STYLES]
    movements = [(style.object_way, style.object_lead, style.word_way, style.word_lead) for style in ALL_STYLES]
    assert len(set(looks)) == len({style.name for style in ALL_STYLES}) == len(ALL_STYLES)
    assert len(set(movements)) >= len(ALL_STYLES) - 1
    for style in ALL_STYLES:
        for lead in (style.object_lead, style.word_lead):
            assert lead is None or 0 <= lead <= 1


# Splits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_songs", [1, 2, 3, 4, 20, 61])
@pytest.mark.parametrize("with_test", [True, False])
def test_styles_of_held_out_songs_are_in_training(num_songs: int, with_test: bool) -> None:
    songs = [plan_phrases_song(3, index) for index in range(num_songs)]
    splits = split_songs(songs, seed=3, with_test=with_test)
    styles = {name: {song.style for song in songs if splits[song.video_id] == name} for name in splits.values()}
    assert set(splits) == {song.video_id for song in songs}
    assert all(held_out <= styles["train"] for held_out in styles.values())
    counts = Counter(splits.values())
    assert ("test" in counts) == (with_test and num_songs > 1)
    if num_songs >= 20:
        assert counts["validation"] == round(0.1 * num_songs)
        assert counts["train"] >= 0.8 * num_songs - 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_songs": 2}, "--test-seed: got None"),
        ({"test_songs": 2, "test_seed": 1}, "--test-seed: got 1"),
        ({"test_songs": -1}, "--test-songs: got -1"),
        ({"family": "letters", "unseen_style_songs": 1}, "--unseen-style-songs: got 1"),
        ({"family": "other"}, "--family: got 'other'"),
    ],
)
def test_wrong_options_are_rejected(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(OptionError) as error:
        render_songs(tmp_path, num_songs=1, seed=1, **options)
    assert message.replace("'", "") in str(error.value).replace("'", "")
    assert list(tmp_path.iterdir()) == []


# Truth ---------------------------------------------------------------------------------------------------------------


def test_phrases_have_the_length_of_the_paper_clips() -> None:
    lengths: list[float] = []
    for index in range(0, 20, 2):  # one song of each style
        plan = plan_phrases_song(2, index)
        segments = true_segments(plan, build_timeline(plan))
        assert "".join(segment.letter for segment in segments) == plan.letters
        for segment, following in pairwise(segments):
            assert segment.end_seconds <= following.start_seconds
        for segment in segments:
            assert segment.object_word is not None
            assert segment.object_word.split()[0] in [word.text for word in segment.words]
            assert 0 <= segment.words[0].start_seconds - segment.start_seconds < 0.25
            assert segment.words[-1].end_seconds <= segment.end_seconds
            lengths.append(25 * (segment.end_seconds - segment.start_seconds))
    assert 60 <= float(np.median(lengths)) <= 100
    assert min(lengths) >= 40
    assert float(np.mean(np.array(lengths) <= 100)) > 0.97


def short_plan(style: Style, num_phrases: int = 4) -> PhrasesPlan:
    """The first phrases of a song of this style: two of each of two letters."""
    for index in range(100):
        plan = plan_phrases_song(5, index, collection="unseen", styles=(style.name,))
        if plan.kind == "is_for" and plan.captions == "words":
            phrases = [section for section in plan.sections if section.kind == "letter"][:num_phrases]
            return replace(plan, sections=(plan.sections[0], *phrases, plan.sections[-1]))
    raise AssertionError("no such song among 100")


@dataclass(frozen=True, kw_only=True)
class Song:
    plan: PhrasesPlan
    style: Style
    frames_THWC: NDArray[np.uint8]
    events: list[dict[str, Any]]
    regions: list[dict[str, Any]]
    truth: list[Any]

    def frame(self, seconds: float) -> int:
        return round(seconds * self.plan.frame_rate)

    def box(self, region: str, frame: int) -> tuple[int, int, int, int] | None:
        """(left, top, right, bottom) of the region in this frame, in pixels."""
        at = (frame + 0.5) / self.plan.frame_rate
        rows = [
            row for row in self.regions if row["region"] == region and row["start_seconds"] <= at < row["end_seconds"]
        ]
        assert len(rows) <= 1, "a region has two boxes at one time"
        if not rows:
            return None
        height, width = self.frames_THWC.shape[1:3]
        sides = [rows[0][name] for name in ("left", "top", "right", "bottom")]
        left, top, right, bottom = (
            round(side * size) for side, size in zip(sides, (width, height, width, height), strict=True)
        )
        return left, top, right, bottom

    def phrase_frames(self, phrase: int) -> tuple[int, int]:
        segment = self.truth[phrase]
        return self.frame(segment.start_seconds), self.frame(segment.end_seconds)


@pytest.fixture(scope="module", params=[style.name for style in ALL_STYLES])
def song(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Song:
    folder = tmp_path_factory.mktemp("phrases")
    style = style_named(request.param)
    plan = short_plan(style)
    render_song(plan, folder)
    write_tables([plan], folder)
    with av.open(folder / f"{plan.video_id}.mp4") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[0])]
    return Song(
        plan=plan,
        style=style,
        frames_THWC=np.stack(frames),
        events=pq.read_table(folder / "events.parquet").to_pylist(),
        regions=pq.read_table(folder / "regions.parquet").to_pylist(),
        truth=read_truth(folder / "truth.parquet"),
    )


def starts_scene(song: Song, event: dict[str, Any]) -> bool:
    starts = [song.phrase_frames(event["phrase"])[0]]
    starts += [
        song.frame(other["start_seconds"])
        for other in song.events
        if other["phrase"] == event["phrase"] and other["event"] == "scene_changes"
    ]
    return song.frame(event["start_seconds"]) in starts


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int16]:
    """(H, W) largest difference over the channels."""
    return np.abs(one.astype(np.int16) - other).max(axis=2)


def timed(song: Song) -> Iterator[tuple[dict[str, Any], int, int]]:
    """(event, first frame, last frame) of the lasting changes of letter, object and word inside phrases."""
    for event in song.events:
        if event["lasting"] and event["region"] != "frame" and not starts_scene(song, event):
            yield event, song.frame(event["start_seconds"]), song.frame(event["end_seconds"])


def test_every_phrase_has_its_events_once(song: Song) -> None:
    assert {event["style"] for event in song.events} == {song.style.name}
    for phrase in range(len(song.truth)):
        first, last = song.phrase_frames(phrase)
        of_phrase = [event for event in song.events if event["phrase"] == phrase]
        names = Counter(event["event"] for event in of_phrase)
        assert set(names.values()) == {1}
        assert "object_appears" in names
        assert ("word_completes" in names) == (song.style.word_way == "completes")
        assert ("letter_bends" in names) == (song.style.bend_after is not None)
        assert ("camera_moves" in names) == (song.style.camera != "still")
        assert ("scene_changes" in names) == (song.style.title_until_lead is not None)
        leaves = song.style.scene == "letter" and phrase % 2 == 1
        assert ("object_leaves" in names) == leaves
        assert ("letter_appears" in names) == (not leaves)
        for event in of_phrase:
            assert first <= song.frame(event["start_seconds"]) <= song.frame(event["end_seconds"]) < last


def test_events_have_the_lead_of_the_style(song: Song) -> None:
    style = song.style
    leads = {
        "object_appears": style.object_lead,
        "word_completes": style.word_lead,
        "word_appears": style.word_lead,
        "scene_changes": style.title_until_lead,
    }
    for name, lead in leads.items():
        for event in song.events:
            if event["event"] != name or lead is None:
                continue
            segment = song.truth[event["phrase"]]
            word = next(word for word in segment.words if word.text == segment.object_word.split()[0])
            assert abs(word.start_seconds - event["start_seconds"] - lead) < 0.03


def test_the_picture_changes_at_the_event_times(song: Song) -> None:
    """In the box of its region, the picture changes during an event, and little at the times without any event."""
    for event, first, last in timed(song):
        box = song.box(event["region"], first - 1 if event["event"].endswith("leaves") else last)
        assert box is not None
        left, top, right, bottom = box
        start, end = song.phrase_frames(event["phrase"])
        clip = song.frames_THWC[start:end, top:bottom, left:right]
        changes = np.array([0.0, *(float(difference(a, b).mean()) for a, b in pairwise(clip))])
        is_event = np.zeros(len(changes), bool)
        for other in song.events:
            if other["phrase"] == event["phrase"] and other["event"] != "camera_moves":
                low, high = (song.frame(other[name]) - start for name in ("start_seconds", "end_seconds"))
                is_event[low : high + 1] |= other["region"] != "object" or other["event"] != "object_idles"
        is_event[0] = True
        during = changes[first - start : last - start + 1]
        assert during.max() > 4, event
        if song.style.camera == "still":
            assert during.max() > 1.5 * changes[~is_event].max(initial=0.0), event
        else:  # the encoder updates a slowly moving picture in jumps of several frames
            assert during.mean() > 1.5 * changes[~is_event].mean(), event


def test_lasting_change_peaks_at_the_event_times(song: Song) -> None:
    """Over the whole picture of styles whose camera and objects stand still: lasting change lies where the events are."""
    if song.style.camera != "still" or song.style.flaps:
        pytest.skip("the picture of this style changes all the time")
    rate = song.plan.frame_rate
    width = median_frames(rate)
    small = song.frames_THWC[:, ::6, ::6]
    for phrase in range(len(song.truth)):
        start, end = song.phrase_frames(phrase)
        curve = lasting_change(small[start:end], rate)
        near = np.zeros(len(curve), bool)
        lasting = [row for row in song.events if row["phrase"] == phrase and row["event"] != "camera_moves"]
        for event in lasting:
            low, high = (song.frame(event[name]) - start for name in ("start_seconds", "end_seconds"))
            near[max(low - width, 0) : high + width + 1] = True
        assert near[int(curve.argmax())]
        assert curve[~near].sum() < 0.05 * curve.sum(), "something else happens"


def test_boxes_contain_what_changes(song: Song) -> None:
    """While the camera stands still, nothing changes outside the boxes; what comes to an empty place fills its box."""
    if song.style.camera != "still":
        pytest.skip("the camera of this style moves")
    for event, first, last in timed(song):
        changed = difference(song.frames_THWC[first - 1], song.frames_THWC[last]) > 48
        outside = changed.copy()
        for region in ("letter", "object", "word"):
            for frame in (first - 1, last):
                if box := song.box(region, frame):
                    left, top, right, bottom = box
                    outside[max(top - 4, 0) : bottom + 4, max(left - 4, 0) : right + 4] = False
        assert changed.sum() > 100, event
        assert outside.sum() < 0.01 * changed.sum(), event
        box = song.box(event["region"], last)
        if event["event"] == "object_appears" and song.box("object", first - 1) is None and box is not None:
            left, top, right, bottom = box
            rows, columns = np.nonzero(changed[top:bottom, left:right])
            assert np.ptp(rows) > 0.8 * (bottom - top)
            assert np.ptp(columns) > 0.8 * (right - left)


def test_a_bent_letter_returns(song: Song) -> None:
    bends = [event for event in song.events if event["event"] == "letter_bends"]
    if not bends:
        pytest.skip("the letters of this style do not bend")
    for event in bends:
        first, last = song.frame(event["start_seconds"]), song.frame(event["end_seconds"])
        assert 0.9 * song.plan.frame_rate <= last - first <= 1.5 * song.plan.frame_rate
        assert not event["lasting"]
        box = song.box("letter", (first + last) // 2)
        assert box is not None
        left, top, right, bottom = box
        before, middle, after = (
            song.frames_THWC[at, top:bottom, left:right] for at in (first - 1, (first + last) // 2, last)
        )
        assert difference(before, middle).mean() > 15
        assert difference(before, after).mean() < 2


def test_styles_are_recognizable_from_one_frame() -> None:
    """The backgrounds of the first phrases, 8x8 pixels, are nearer to those of another song of the style."""
    from phonics_data.sources.synthetic.render import build_scenes

    empty = np.zeros(0, np.float32)
    pictures: dict[str, list[NDArray[np.float64]]] = {}
    for style in ALL_STYLES:
        for num in (0, 1):
            plan = replace(short_plan(style, 2), seed=num)
            scenes, _ = build_scenes(plan, build_timeline(plan), empty)
            picture = scenes[1].background.resize((8, 8))
            pictures.setdefault(style.name, []).append(np.asarray(picture, np.float64))
    for name, (one, other) in pictures.items():
        apart = [float(np.abs(one - foreign[0]).mean()) for key, foreign in pictures.items() if key != name]
        assert float(np.abs(one - other).mean()) < min(apart)


# Files ---------------------------------------------------------------------------------------------------------------


def test_equal_plans_give_equal_bytes(tmp_path: Path) -> None:
    plan = short_plan(style_named("treasure"), 2)
    for folder in ("one", "two"):
        render_song(plan, tmp_path / folder)
        write_tables([plan], tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "one").iterdir() if path.is_file())
    assert {"events.parquet", "regions.parquet", "truth.parquet", f"{plan.video_id}.mp4"} <= set(names)
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_a_collection_has_test_songs_and_unseen_styles(tmp_path: Path) -> None:
    render_songs(tmp_path, num_songs=1, seed=1, test_songs=1, test_seed=2, unseen_style_songs=1, workers=2)
    videos = read_manifest(str(tmp_path / "manifest.csv"))
    assert [video.video_id for video in videos] == ["song-0000", "test-0000", "unseen-0000"]
    with (tmp_path / "splits.csv").open(newline="") as file:
        splits = {row["video_id"]: row["split"] for row in csv.DictReader(file)}
    assert splits == {"song-0000": "train", "test-0000": "test", "unseen-0000": "unseen-styles"}
    rows = pq.read_table(tmp_path / "truth.parquet").to_pylist()
    styles = {row["video_id"]: row["style"] for row in rows}
    assert styles["test-0000"] == styles["song-0000"]
    assert styles["unseen-0000"] in {style.name for style in UNSEEN_STYLES}
    for video in videos:
        assert (video.kind == "letter") == (len(video.letters) == 1)
        assert set(video.letters) == {row["letter"] for row in rows if row["video_id"] == video.video_id}
    check_object_tables(tmp_path, rows)


def check_object_tables(folder: Path, truth: list[dict[str, Any]]) -> None:
    """Each song has the pictures of its objects, as large as the boxes of the truth; a lost table is written again."""
    regions = [row for row in pq.read_table(folder / "regions.parquet").to_pylist() if row["region"] == "object"]
    tables = {video: folder / f"{video}.objects.parquet" for video in sorted({row["video_id"] for row in truth})}
    for video, path in tables.items():
        phrases = [row for row in truth if row["video_id"] == video]
        objects = read_objects(path)
        assert [(row.object_word, row.start_seconds, row.end_seconds) for row in objects] == [
            (row["object_word"], row["start_seconds"], row["end_seconds"]) for row in phrases
        ]
        for row in objects:
            assert row.start_seconds <= row.shown_seconds < row.end_seconds
            height, width = decode_png(row.png).shape[:2]
            # The largest box of the phrase, which a zoom can enlarge and the edge of the picture can cut.
            boxes = [
                ((box["right"] - box["left"]) * 640, (box["bottom"] - box["top"]) * 360)
                for box in regions
                if box["video_id"] == video and row.shown_seconds <= box["start_seconds"] < row.end_seconds
            ]
            largest = max(boxes)
            assert largest[0] <= 1.5 * width + 4
            assert largest[1] <= 1.5 * height + 4
            assert largest[0] * largest[1] >= 0.6 * width * height
            assert len(row.boxes) >= len(boxes) > 0
            times = [time for box in row.boxes for time in (box.start_seconds, box.end_seconds)]
            assert times == sorted(times), "in order, and none overlaps the next"
            assert row.shown_seconds <= times[0] < times[-1] <= row.end_seconds
            assert {((box.right - box.left) * 640, (box.bottom - box.top) * 360) for box in row.boxes} >= set(boxes)
    before = {video: path.read_bytes() for video, path in tables.items()}
    tables["test-0000"].unlink()
    tables["unseen-0000"].write_bytes(b"damaged")
    render_songs(folder, num_songs=1, seed=1, test_songs=1, test_seed=2, unseen_style_songs=1, workers=1)
    assert {video: path.read_bytes() for video, path in tables.items()} == before
