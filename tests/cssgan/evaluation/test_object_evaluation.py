"""`cssgan evaluate` with a model that takes objects: each clip gets its own, and `object_swap` is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from cssgan.data import resident
from cssgan.evaluation.evaluate import as_generate, evaluate_run
from cssgan.inference.export import load_generator
from cssgan.metrics.conditions import ObjectGenerate, Objects, generate_rows
from tests.cssgan.data.test_object_pictures import square
from tests.cssgan.inference.test_generate import save_run
from tests.cssgan.toy_dataset import make_sample, write_shard

WITH_OBJECT = ("model.object_condition=true", "model.word_dim=8", "model.g_output=compose")


def write_clips(folder: Path) -> Path:
    """Four clips in which a square comes in and stays, each with a picture of it."""
    samples = []
    for n in range(4):
        sample, colour = make_sample(n, num_frames=40, size=16), (250 - 60 * n, 20 + 60 * n, 30)
        frames = np.full_like(sample.frames_LHWC, 60 + 20 * n)
        frames[15 + 2 * n :, 4:12, 4:12] = colour
        samples.append(
            replace(sample, frames_LHWC=frames, object_picture=square(colour), object_word=f"word{n}", video_id="song")
        )
    write_shard(folder / "test-000000.tar", samples)
    return folder


def test_the_report_has_object_swap_and_the_videos_show_the_own_object(tmp_path: Path) -> None:
    folder, run = write_clips(tmp_path / "data"), save_run(tmp_path / "run", *WITH_OBJECT)

    report = evaluate_run(run, folder, split="test", per_video=True)

    result = report["metrics"]["object_swap"]
    assert isinstance(result["value"], float)
    assert {"right_object", "other_object", "untrained", "chance_level"} <= set(result["controls"])
    loaded = load_generator(run)
    generate = as_generate(loaded)
    assert isinstance(generate, ObjectGenerate)
    data = resident.eval_windows(
        folder, "test", config=loaded.config, label_set=loaded.label_set, mel_stats=loaded.mel_stats
    )
    own = generate_rows(generate, data, slice(0, 2))
    given = generate.with_objects(
        data.video_NTHWC[:2, 0], data.mels_NTMU[:2], data.labels_N[:2], Objects.of(data, slice(0, 2))
    )
    exchanged = generate_rows(generate, data, slice(0, 2), objects=np.array([1, 0]))
    none = generate(data.video_NTHWC[:2, 0], data.mels_NTMU[:2], data.labels_N[:2])
    assert np.array_equal(own, given)
    assert not np.array_equal(own, exchanged)
    assert not np.array_equal(own, none)


def test_a_model_without_objects_is_called_without_them(tmp_path: Path) -> None:
    assert not isinstance(as_generate(load_generator(save_run(tmp_path / "run"))), ObjectGenerate)
