"""The command `phonics-data demo`: the whole pipeline on rendered songs.

The songs are served over HTTP on this machine and fetched with yt-dlp like web videos. Training runs as the separate
command `cssgan`, so this package does not import it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from phonics_data.cli.progress import print_table, progress, stage_line
from phonics_data.contract.console import say
from phonics_data.contract.files import atomic_path
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import read_shard
from phonics_data.contract.untrusted import read_json_object
from phonics_data.dataset.layout import read_metadata
from phonics_data.errors import DatasetError, DependencyError, PhonicsDataError
from phonics_data.quality.split import read_given_splits
from phonics_data.recognizers.engines import EngineOptions
from phonics_data.segmentation.scoring import SegmentScore, score_segments
from phonics_data.sources.synthetic.render import read_truth, render_songs
from phonics_data.sources.synthetic.site import SongSite
from phonics_data.stages.pipeline import BuildOptions, build
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.stages.transcribe import TranscribeOptions
from phonics_data.storage.manifest import read_manifest
from phonics_data.storage.object_table import SUFFIX, objects_path
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Segment

MIN_SEGMENT_F1 = 0.95
"""Gate: F1 at IoU 0.5 of the segments against the ground truth, over the songs with captions."""

# No speech recognition: songs without captions show their letters, and Whisper took 45 s for 5 of 530 clips.
OPTIONS = BuildOptions(transcribe=TranscribeOptions(engine=EngineOptions(engine="captions")))


MODEL = "rendered-64"
"""The weights that come with the package. The demo generates with them, evaluates them, and trains from them."""
_TRAIN = ("--init", MODEL, "--set", "train.num_videos=480", "--set", "optim.g_lr=5e-4")
_EVALUATE = ("--split", "test", "--num-videos", "24", "--weights", "ema")
_CONTROLS = ("real", "held", "flash", "untrained", "song_mean", "mismatched")
_GATE_HEADINGS = ("gate", "bound", "model", *_CONTROLS, "outcome")


@dataclass(frozen=True, kw_only=True, slots=True)
class DemoOptions:
    num_songs: int = 20
    seed: int = 2
    workers: int = 2
    shuffle_audio: bool = False
    """Train without `MODEL`, and with audio of other clips: a control that must miss the gates of events."""
    allow_missed_gates: bool = False
    """Print missed gates of the model instead of raising an error."""


def run_demo(out: Path, options: DemoOptions) -> None:
    """Render, fetch, build, generate, train, evaluate; print a table of results. Finished steps are not repeated.

    Raises:
        DependencyError: torch is not installed.
        PhonicsDataError: a step or a gate failed.
    """
    if importlib.util.find_spec("torch") is None:
        raise DependencyError("demo trains a model, which needs torch; run: pip install 'phonics-cssgan[demo,train]'")
    started = time.monotonic()
    songs, work, dataset = out / "songs", out / "work", out / "dataset"
    run = out / ("run-shuffled-audio" if options.shuffle_audio else "run")
    _headline("1/5 songs", f"rendering {options.num_songs} alphabet songs into {songs}")
    with progress() as on_progress:
        render_songs(
            songs, num_songs=options.num_songs, seed=options.seed, workers=options.workers, on_progress=on_progress
        )
    _headline("2/5 dataset", f"fetching them over HTTP and building {dataset}")
    _build(songs, work, dataset, options)
    segments = _score(songs, work)
    _headline("3/5 generating", f"a video with {MODEL} from one image, audio and object of a song that it has not seen")
    video = _generate(dataset, out / "example")
    before, after = out / f"{MODEL}.json", run / "evaluation.json"
    evaluate = ["--shards", str(dataset), "--truth", str(songs), *_EVALUATE]
    _headline("4/5 training", f"from {MODEL} on these songs, into {run}")
    train = ["train", "--shards", str(dataset), "--run", str(run), "--set", f"train.seed={options.seed}"]
    if options.shuffle_audio:
        train += ["--preset", "smoke", "--set", "data.shuffle_audio=true", "--set", "train.ema_half_life=400"]
    else:
        train += _TRAIN
    # Training uses one core; the other one evaluates the model that it starts from.
    with ThreadPoolExecutor(1) as pool:
        evaluated = None
        if not before.exists():
            log = out / f"{MODEL}.log"
            evaluated = pool.submit(_cssgan, ["evaluate", "--run", MODEL, "--out", str(before), *evaluate], log)
        _cssgan(train)
        if evaluated is not None:
            evaluated.result()
    _headline("5/5 evaluating", "on clips of held-out songs")
    _cssgan(["evaluate", "--run", str(run), *evaluate])
    evaluation: dict[str, Any] = read_json_object(after, any_numbers=True)
    print_table("Results", _rows(dataset, evaluation, segments))
    of_model = read_json_object(before, any_numbers=True)
    print_table(f"{MODEL} on held-out songs, with controls", _gate_rows(of_model), _GATE_HEADINGS)
    print_table("Gates of the trained model on the same clips", _gate_rows(evaluation), _GATE_HEADINGS)
    print_table(
        "Files",
        [
            ("report page", str(dataset / "report.html")),
            ("generated video with audio", str(video)),
            ("frames: real above generated", str(run / "strip.png")),
            ("motion of the video against audio", str(run / "curves.png")),
            ("all metrics", str(run / "evaluation.json")),
        ],
    )
    say(f"{time.monotonic() - started:.0f} s")
    if segments.f1 < MIN_SEGMENT_F1:
        raise PhonicsDataError(f"demo: segment F1 {segments.f1:.3f} is below its gate of {MIN_SEGMENT_F1}")
    if not evaluation["gates_passed"]:
        text = "; ".join(f"{gate['name']}: {gate['reason']}" for gate in _missed(evaluation))
        if not options.allow_missed_gates:
            raise PhonicsDataError(
                f"demo: gates missed: {text or 'no gate counts'}; --allow-missed-gates ends with exit code 0"
            )
        say(f"missed: {text or 'no gate counts'}")


def _headline(step: str, text: str) -> None:
    say("", f"[{step}] {text}")


def _build(songs: Path, work: Path, dataset: Path, options: DemoOptions) -> None:
    workspace = Workspace(work)
    # Every style of the held-out songs is in the training split.
    build_options = replace(OPTIONS, shard=ShardOptions(given_splits=read_given_splits(songs / "splits.csv")))
    with SongSite(songs) as site, workspace.lock(), progress() as on_progress:
        videos = read_manifest(f"{site.url}/manifest.csv")
        for count in build(workspace, videos, dataset, build_options, workers=options.workers, on_progress=on_progress):
            say(stage_line(count))
            if count.stage == "fetch":
                _add_objects(songs, workspace)


def _add_objects(songs: Path, workspace: Workspace) -> None:
    """Put the tables of the object pictures beside the fetched songs: `fetch` copies them from a folder, but not from a server."""
    for video in read_table(workspace.table("videos"), FetchedVideo):
        table = songs / f"{video.video_id}{SUFFIX}"
        if table.is_file():
            shutil.copyfile(table, objects_path(workspace.root / video.path))


def _score(songs: Path, work: Path) -> SegmentScore:
    """Score of the segments against the ground truth, over the songs with captions."""
    workspace = Workspace(work, must_exist=True)
    captioned = {video.video_id for video in read_table(workspace.table("videos"), FetchedVideo) if video.captions}
    found = read_table(workspace.table("segments"), Segment)
    truth = [segment for segment in read_truth(songs / "truth.parquet") if segment.video_id in captioned]
    return score_segments(found, truth)


def _cssgan(arguments: Sequence[str], log: Path | None = None) -> None:
    """Run `cssgan`, with its output into a file if `log` is given. Raises `PhonicsDataError` if it fails."""
    # One thread: more do not help such a small model, and they are slow on a busy machine.
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with contextlib.ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("wb"))
        done = subprocess.run(
            [sys.executable, "-m", "cssgan", *arguments], check=False, env=environment, stdout=output, stderr=output
        )
    if done.returncode:
        see = "" if log is None else f"; see {log}"
        raise PhonicsDataError(f"demo: `cssgan {' '.join(arguments)}` failed with exit code {done.returncode}{see}")


def _held_out_sample(dataset: Path, min_frames: int = 48) -> Sample:
    """The first clip of the test split with `min_frames`, more than the training window; else the longest."""
    longest: Sample | None = None
    for shard in sorted(dataset.glob("test-*.tar")):
        for sample in read_shard(shard):
            if sample.num_frames >= min_frames:
                return sample
            if longest is None or sample.num_frames > longest.num_frames:
                longest = sample
    if longest is None:
        raise DatasetError(f"{dataset}: no clip in the test split; render more songs (--songs)")
    return longest


def _generate(dataset: Path, folder: Path) -> Path:
    import soundfile
    from PIL import Image

    sample = _held_out_sample(dataset)
    image, sound, video = folder / "first-frame.png", folder / "sound.wav", folder / "generated.mp4"
    shown = folder / "object.png"
    with atomic_path(image) as temporary:
        Image.fromarray(sample.frames_LHWC[0]).save(temporary)
    with atomic_path(sound) as temporary:
        soundfile.write(temporary, sample.audio_N, sample.audio_rate_hz)
    inputs = ["--image", str(image), "--audio", str(sound), "--label", sample.label]
    if sample.object_picture is not None:
        with atomic_path(shown) as temporary:
            Image.fromarray(sample.object_picture).save(temporary)
        inputs += ["--object", str(shown), "--object-word", sample.object_word or ""]
    _cssgan(["generate", "--model", MODEL, *inputs, "--out", str(video)])
    return video


def _number(value: float | None) -> str:
    return "unavailable" if value is None else f"{value:.3f}"


def _rows(dataset: Path, evaluation: dict[str, Any], segments: SegmentScore) -> list[tuple[str, str]]:
    clips = read_metadata(dataset)
    return [
        ("songs", str(len({clip.video_id for clip in clips}))),
        (
            "segments against ground truth",
            f"F1 {segments.f1:.3f} at IoU 0.5 (gate {MIN_SEGMENT_F1}), median boundary error {segments.median_boundary_error_seconds:.3f} s",
        ),
        ("clips", str(len(clips))),
        ("shards", str(len({clip.shard for clip in clips}))),
        ("training steps", str(evaluation["num_steps"])),
    ]


def _gate_rows(evaluation: dict[str, Any]) -> list[tuple[str, ...]]:
    """Each gate with its value, what real videos and controls reach, and its outcome."""
    rows: list[tuple[str, ...]] = []
    for gate in evaluation["gates"]:
        controls: dict[str, float] = evaluation["metrics"][gate["name"]]["controls"]
        outcome = ": ".join(filter(None, (gate["outcome"], gate["reason"])))
        others = (f"{controls[name]:.3f}" if name in controls else "-" for name in _CONTROLS)
        rows.append((gate["name"], gate["bound"], _number(gate["value"]), *others, outcome))
    return rows


def _missed(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    return [gate for gate in evaluation["gates"] if gate["outcome"].startswith("MISS")]
