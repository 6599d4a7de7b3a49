"""The stage stores the pictures of objects: exact ones of rendered songs, and the reason where there is none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from phonics_data.contract.picture import encode_png
from phonics_data.dataset.layout import read_description, read_metadata
from phonics_data.dataset.reader import open_dataset
from phonics_data.report.verify import verify
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.object_table import ObjectBox, ObjectRow, objects_path, write_objects
from phonics_data.storage.workspace import Workspace
from tests.phonics_data.report.test_verify import change_row, make_dataset


def picture(seed: int) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 30, 4), dtype=np.uint8)
    pixels[20, 15, 3] = 255
    return pixels


def row(number: int, start: float, end: float, shown: float) -> ObjectRow:
    png = encode_png(picture(number))
    half = (shown + end) / 2
    boxes = (
        ObjectBox(start_seconds=shown, end_seconds=half, left=0.5, top=0.0, right=0.75, bottom=0.5),
        ObjectBox(start_seconds=half, end_seconds=end, left=0.25, top=0.25, right=0.75, bottom=0.5),
    )
    return ObjectRow(object_word="ant", start_seconds=start, end_seconds=end, shown_seconds=shown, png=png, boxes=boxes)


def test_pictures_of_a_rendered_song_are_exact_and_the_others_have_reasons(tmp_path: Path) -> None:
    """Clips of each source: 0 to .8 s and 1 to 1.8 s, with a new picture in each frame."""
    searched = make_dataset(tmp_path)
    assert [one.no_picture_reason == "" for one in read_metadata(searched)] == [
        one.object_picture_source == "change" for one in read_metadata(searched)
    ]
    workspace = Workspace(tmp_path / "work")
    table = objects_path(workspace.media / "a" / "video.mkv")
    # In the second clip, the object of its phrase comes after its end.
    write_objects(table, [row(1, 0.0, 0.9, 0.3), row(2, 0.9, 2.0, 1.9)], "plan")
    write_objects(objects_path(workspace.media / "b" / "video.mkv"), [row(3, 0.7, 1.9, 0.8)], "plan")
    counts = shard(workspace, tmp_path / "exact", ShardOptions())
    assert counts.num_skipped == 2, "only the two sources with new tables are cut again"
    rows = {one.sample_id: one for one in read_metadata(tmp_path / "exact")}
    samples = {sample.key: sample.object_picture for sample in open_dataset(tmp_path / "exact")}
    boxes = {sample.key: sample.object_boxes_L4 for sample in open_dataset(tmp_path / "exact")}
    # Phrase 0 to .9 s: the object comes at .3 s and moves at .6 s; the clip ends at .8 s and has 25 frames a second.
    moved = boxes["a-0000000"]
    assert moved is not None
    changes = [moved[0].tolist()] + [b.tolist() for a, b in pairwise(moved) if not np.array_equal(a, b)]
    assert changes == [[0, 0, 0, 0], [0.5, 0, 0.75, 0.5], [0.25, 0.25, 0.75, 0.5]]
    assert moved.any(axis=1).argmax() == pytest.approx(0.3 * len(moved) / 0.8, abs=0.51)
    assert boxes["a-0001000"] is None
    shard(workspace, tmp_path / "pad", ShardOptions(fit="pad"))
    assert {sample.object_boxes_L4 is None for sample in open_dataset(tmp_path / "pad")} == {True}
    found = {
        key: (one.object_picture_source, one.no_picture_reason) for key, one in rows.items() if one.video_id in "ab"
    }
    assert found == {
        "a-0000000": ("rendered", ""),
        "a-0001000": ("", "not_shown"),
        "b-0000000": ("", "not_shown"),
        "b-0001000": ("rendered", ""),
    }
    for key, number in (("a-0000000", 1), ("b-0001000", 3)):
        stored = samples[key]
        assert stored is not None
        assert np.array_equal(stored, picture(number))
    assert samples["a-0001000"] is None
    description = read_description(tmp_path / "exact")
    assert description["counts"]["object_pictures_by_source"]["rendered"] == 2
    assert sum(description["counts"]["no_picture_by_reason"].values()) + sum(
        description["counts"]["object_pictures_by_source"].values()
    ) == len(rows)
    assert "`<key>.object.png`" in (tmp_path / "exact" / "README.md").read_text()
    assert "object.png" in (tmp_path / "exact" / "croissant.json").read_text()
    assert any(note.startswith("object pictures: ") and "2 rendered" in note for note in counts.notes)
    assert verify(tmp_path / "exact").faults == ()

    shard(workspace, tmp_path / "again", ShardOptions(), workers=2)
    for path in (tmp_path / "exact").glob("*.tar"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()

    other = "" if read_metadata(tmp_path / "again")[0].object_picture_source else "rendered"
    change_row(tmp_path / "again", object_picture_source=other)
    assert any("object.png, but object_picture_source is" in fault for fault in verify(tmp_path / "again").faults)

    shard(workspace, tmp_path / "none", ShardOptions(object_pictures=False))
    assert {one.no_picture_reason for one in read_metadata(tmp_path / "none")} == {"not_searched"}
    assert all(sample.object_picture is None for sample in open_dataset(tmp_path / "none"))

    table.write_bytes(b"damaged")
    counts = shard(workspace, tmp_path / "damaged", ShardOptions())
    rows = {one.sample_id: one for one in read_metadata(tmp_path / "damaged")}
    assert {one.no_picture_reason for one in rows.values() if one.video_id == "a"} == {"unreadable_table"}
    assert rows["b-0001000"].object_picture_source == "rendered"
    assert any("2 unreadable_table" in note for note in counts.notes)
