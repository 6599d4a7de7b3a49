"""Runs and held-out clips -> the paper's figures 4 to 7, and a page that plays their videos with audio."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from cssgan.data import resident, windowing
from cssgan.data.shards import read_evenly_spaced, resize
from cssgan.figures.strips import REAL, AudioPlot, Block, Row, draw, encode
from cssgan.inference.generate import LoadedGenerator, generate_from_clips, load_generator
from cssgan.storage import media_files
from cssgan.storage.files import make_folder
from cssgan.types import Split
from phonics_data.contract.files import write_bytes
from phonics_data.contract.sample import Sample
from phonics_data.errors import DatasetError, OptionError

STEPS = (1, 5, 9, 13, 17, 21, 25, 29, 32)
"""Frames, counted from 1: the first and the middle frame of each stream of eight, and the last."""
VIDEO_SIZE = 192
"""Smaller videos of the page are scaled up by an integer factor to at most this many pixels."""
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureOptions:
    """Content of the figures.

    Args:
        steps: frames to show, from 1; the last one is the length of the videos.
        num_items: number of clips, spaced evenly over the clips of the split that are long enough.
        audio_plot: plot below the frames.
        seed: seed of the noise.
    """

    split: Split = "test"
    steps: tuple[int, ...] = STEPS
    num_items: int = 3
    audio_plot: AudioPlot = "waveform"
    seed: int = 0

    def __post_init__(self) -> None:
        steps = self.steps
        if not steps or list(steps) != sorted(set(steps)) or not 1 <= steps[0] <= steps[-1] <= 999:
            text = ",".join(map(str, steps))
            raise OptionError("--steps", text, "increasing integers from 1 to 999, such as 1,8,16")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PaperFigure:
    """One figure; `name` is its file name without suffix."""

    name: str
    caption: str
    blocks: Sequence[Block]


def make_figures(
    runs: Mapping[str, Path],
    shards: Path,
    out: Path,
    *,
    ablation: Mapping[str, Path] | None = None,
    options: FigureOptions | None = None,
) -> list[Path]:
    """Draw all figures that are possible with the runs, as PNG and SVG, with videos and a page.

    Args:
        runs: runs by displayed name, in the order of display.
        ablation: the runs of figure 7, in the order of the ablation steps.
        out: output folder; existing files of the same names are replaced.

    Returns:
        The page, then the images.

    Raises:
        OptionError: a run is called ``real``.
        CheckpointError, DatasetError: a run or the dataset cannot be used, or too few clips are long enough.
    """
    options, ablation = options or FigureOptions(), ablation or {}
    for name, run in [*runs.items(), *ablation.items()]:
        if name == REAL:
            raise OptionError(
                "--run, --ablation", f"{name}={run}", f"any name but {REAL!r}, which names the real videos"
            )
    figures: list[PaperFigure] = []
    clips = _select_clips(shards, options)
    models = {name: load_generator(run) for name, run in runs.items()}
    if models:
        figures.append(_model_comparison("figure4-models", "The same clips by every model.", models, clips, options))
    for name, generator in models.items():
        figures += [
            _exchanged_images(name, generator, clips, options),
            _exchanged_audio(name, generator, clips, options),
        ]
    steps = {name: load_generator(run) for name, run in ablation.items()}
    if steps:
        caption = "The same clips by every step of the ablation."
        figures.append(_model_comparison("figure7-ablation", caption, steps, clips, options))
    record = {
        "runs": {name: _run_record(run, models[name]) for name, run in runs.items()},
        "ablation": {name: _run_record(run, steps[name]) for name, run in ablation.items()},
        "shards": str(shards),
        "clips": [clip.key for clip in clips],
        "options": asdict(options),
    }
    return _write(out, figures, options, record)


def _run_record(run: Path, generator: LoadedGenerator) -> dict[str, Any]:
    progress = generator.progress
    return {
        "run": str(run),
        "steps": progress.num_steps,
        "videos": progress.num_videos,
        "size": generator.config.data.size,
    }


def _select_clips(shards: Path, options: FigureOptions) -> list[Sample]:
    """Clips of at least as many frames as the last step, of different classes if there are enough."""
    wanted, num_frames = options.num_items, options.steps[-1]
    candidates = read_evenly_spaced(shards, options.split, 8 * wanted)
    clips = [clip for clip in candidates if clip.num_frames >= num_frames]
    if len(clips) < wanted:
        raise DatasetError(
            f"{shards}: {len(clips)} of {len(candidates)} clips of {options.split} have {num_frames} frames or more, "
            f"required: {wanted}; use --items {max(len(clips), 1)}, or --steps that end earlier"
        )
    distinct = list({clip.label: clip for clip in reversed(clips)}.values())[::-1]
    chosen = distinct if len(distinct) >= wanted else clips
    return [chosen[k * len(chosen) // wanted] for k in range(wanted)]


def _video(
    generator: LoadedGenerator, image_clip: Sample, audio_clip: Sample, options: FigureOptions
) -> NDArray[np.uint8]:
    """Generate from the start image and class of one clip and the audio of another."""
    if image_clip.label_set != generator.label_set.name:
        raise DatasetError(
            f"clip {image_clip.key}: its label set is {image_clip.label_set!r}, the model was trained on "
            f"{generator.label_set.name!r}; allowed: a dataset of the same label set"
        )
    return generate_from_clips(generator, image_clip, audio_clip, options.steps[-1], seed=options.seed)


def _model_comparison(
    name: str, caption: str, models: Mapping[str, LoadedGenerator], clips: Sequence[Sample], options: FigureOptions
) -> PaperFigure:
    size = max(generator.config.data.size for generator in models.values())
    blocks: list[Block] = []
    for clip in clips:
        rows = [Row(name=REAL, video_THWC=resize(clip, size)[: options.steps[-1]])]
        rows += [Row(name=model, video_THWC=_video(made, clip, clip, options)) for model, made in models.items()]
        blocks.append(_block(f"{_clip_name(clip)}, clip {clip.key}", rows, clip, options))
    return PaperFigure(name=name, caption=caption, blocks=blocks)


def _exchanged_images(
    model: str, generator: LoadedGenerator, clips: Sequence[Sample], options: FigureOptions
) -> PaperFigure:
    audio_clip = clips[0]
    rows = [
        Row(name=f"image\n{_clip_name(clip)}", video_THWC=_video(generator, clip, audio_clip, options))
        for clip in clips
    ]
    return PaperFigure(
        name=f"figure5-images-{model}",
        caption=f"{model}: the same audio, different start images. The class is that of the image.",
        blocks=[
            _block(f"{model}: audio of {_clip_name(audio_clip)}, clip {audio_clip.key}", rows, audio_clip, options)
        ],
    )


def _exchanged_audio(
    model: str, generator: LoadedGenerator, clips: Sequence[Sample], options: FigureOptions
) -> PaperFigure:
    image_clip = clips[0]
    blocks: list[Block] = []
    for audio_clip in clips:
        video_THWC = _video(generator, image_clip, audio_clip, options)
        row = Row(name=f"audio\n{_clip_name(audio_clip)}", video_THWC=video_THWC)
        title = f"{model}: image {_clip_name(image_clip)}, audio of {_clip_name(audio_clip)}, clip {audio_clip.key}"
        blocks.append(_block(title, [row], audio_clip, options))
    return PaperFigure(
        name=f"figure6-audio-{model}",
        caption=f"{model}: the same start image, different audio. The class is that of the image.",
        blocks=blocks,
    )


def _clip_name(clip: Sample) -> str:
    return f"{clip.label} ({clip.object_word})" if clip.object_word else clip.label


def _block(title: str, rows: Sequence[Row], audio_clip: Sample, options: FigureOptions) -> Block:
    spec = resident.MEL_SPEC
    num_hops = round(options.steps[-1] / audio_clip.frame_rate * spec.rate_hz / spec.hop_samples)
    mel_HM = windowing.raw_mel(audio_clip.audio_N, audio_clip.audio_rate_hz, spec)[:num_hops]
    silence = np.full((num_hops - len(mel_HM), spec.num_bands), spec.silence, np.float32)
    return Block(
        title=title,
        rows=rows,
        audio_N=audio_clip.audio_N,
        audio_rate_hz=audio_clip.audio_rate_hz,
        frame_rate=audio_clip.frame_rate,
        mel_MH=np.concatenate([mel_HM, silence]).T,
    )


def _write(out: Path, figures: Sequence[PaperFigure], options: FigureOptions, record: Mapping[str, Any]) -> list[Path]:
    make_folder(out)
    images: list[Path] = []
    shown: list[dict[str, Any]] = []
    for figure in figures:
        drawing = draw(figure.blocks, options.steps, audio_plot=options.audio_plot)
        for file_format in ("png", "svg"):
            images.append(out / f"{figure.name}.{file_format}")
            write_bytes(images[-1], encode(drawing, file_format))
        log.info("%s: drawn, writing its videos", figure.name)
        shown.append({"name": figure.name, "caption": figure.caption, "blocks": _write_videos(out, figure)})
    write_bytes(out / "figures.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cssgan.figures", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html.j2").render(figures=shown, record=record)
    write_bytes(out / "index.html", page.encode())
    return [out / "index.html", *images]


def _write_videos(out: Path, figure: PaperFigure) -> list[dict[str, Any]]:
    """Write the videos of a figure. Returns the blocks for the page."""
    blocks: list[dict[str, Any]] = []
    for number, block in enumerate(figure.blocks):
        videos: list[dict[str, str]] = []
        for index, row in enumerate(block.rows):
            path = out / "videos" / f"{figure.name}-{number}-{index}.mp4"
            scale = max(1, VIDEO_SIZE // row.video_THWC.shape[1])
            media_files.write_mp4(
                path, row.video_THWC, block.frame_rate, block.audio_N, block.audio_rate_hz, scale=scale
            )
            videos.append({"name": row.name, "file": path.name})
        blocks.append({"title": block.title, "videos": videos})
    return blocks
