"""Runs and held-out clips -> the paper's figures 4 to 7, and a page on which their videos play with sound."""

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
from cssgan.data.shards import chosen_samples, resize
from cssgan.figures.strips import REAL, Block, Row, SoundForm, draw, rendered
from cssgan.inference.generate import LoadedGenerator, load_generator, video_of
from cssgan.storage import mp4
from cssgan.storage.files import make_folder, write_bytes
from cssgan.types import Split
from phonics_data.contract.sample import Sample
from phonics_data.errors import DatasetError, OptionError

STEPS = (1, 5, 9, 13, 17, 21, 25, 29, 32)
"""Frames from 1: the first and the middle one of each stream of eight, and the last."""
log = logging.getLogger("cssgan")


@dataclass(frozen=True, kw_only=True, slots=True)
class FigureOptions:
    """What is shown.

    Args:
        steps: frames, from 1; videos are made as long as the last one.
        num_items: clips, spread evenly over those of the split that are long enough.
        sound: what stands below the frames.
        seed: of the noise, in models that have any.
    """

    split: Split = "test"
    steps: tuple[int, ...] = STEPS
    num_items: int = 3
    sound: SoundForm = "waveform"
    seed: int = 0

    def __post_init__(self) -> None:
        if (
            not self.steps
            or list(self.steps) != sorted(set(self.steps))
            or not 1 <= self.steps[0] <= self.steps[-1] <= 999
        ):
            raise OptionError(
                "--steps", ",".join(map(str, self.steps)), "rising whole numbers from 1 to 999, such as 1,8,16"
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MadeFigure:
    """One figure: its name, what it shows in words, and its blocks."""

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
    """Draw all figures that the runs allow, as PNG and SVG, with videos and a page.

    Args:
        runs: by the name that stands beside their frames; drawn in this order.
        ablation: the runs of figure 7, in the order of their steps.
        out: folder; files in it of the same names are replaced.

    Returns:
        The page, then the pictures.

    Raises:
        OptionError: a run is called ``real``.
        CheckpointError, DatasetError: a run or the dataset cannot be used, or has too few clips that are long enough.
    """
    options = options or FigureOptions()
    for name, run in [*runs.items(), *(ablation or {}).items()]:
        if name == REAL:
            raise OptionError("--run, --ablation", f"{name}={run}", f"any name but {REAL!r}, that of the real videos")
    figures: list[MadeFigure] = []
    items = _items(shards, options)
    loaded = {name: load_generator(run) for name, run in runs.items()}
    if loaded:
        figures.append(_models("figure4-models", "The same clips by every model.", loaded, items, options))
    for name, generator in loaded.items():
        figures += [_images(name, generator, items, options), _sounds(name, generator, items, options)]
    steps = {name: load_generator(run) for name, run in (ablation or {}).items()}
    if steps:
        caption = "The same clips by every step of the ablation."
        figures.append(_models("figure7-ablation", caption, steps, items, options))
    record = {
        "runs": {name: _told(run, loaded[name]) for name, run in runs.items()},
        "ablation": {name: _told(run, steps[name]) for name, run in (ablation or {}).items()},
        "shards": str(shards),
        "clips": [sample.key for sample in items],
        "options": asdict(options),
    }
    return _write(out, figures, options, record)


def _told(run: Path, generator: LoadedGenerator) -> dict[str, Any]:
    progress = generator.progress
    return {
        "run": str(run),
        "steps": progress.num_steps,
        "videos": progress.num_videos,
        "size": generator.config.data.size,
    }


def _items(shards: Path, options: FigureOptions) -> list[Sample]:
    """The clips, each at least as long as the last step."""
    wanted = options.num_items
    samples = [
        sample for sample in chosen_samples(shards, options.split, 8 * wanted) if sample.num_frames >= options.steps[-1]
    ]
    if len(samples) < wanted:
        raise DatasetError(
            f"{shards}: {len(samples)} of the clips of {options.split} that were looked at last {options.steps[-1]} frames, "
            f"{wanted} are wanted; give --items {max(len(samples), 1)}, or --steps that end earlier"
        )
    # Different classes where there are any: the second clip of a letter shows little that the first one does not.
    distinct = list({sample.label: sample for sample in reversed(samples)}.values())[::-1]
    chosen = distinct if len(distinct) >= wanted else samples
    return [chosen[k * len(chosen) // wanted] for k in range(wanted)]


def _video(
    generator: LoadedGenerator, picture_of: Sample, sound_of: Sample, options: FigureOptions
) -> NDArray[np.uint8]:
    """The start picture (and class) of one clip with the sound of another."""
    if picture_of.label_set != generator.label_set.name:
        raise DatasetError(
            f"clip {picture_of.key}: its label set is {picture_of.label_set!r}, the model was trained on "
            f"{generator.label_set.name!r}; allowed: a dataset of the same label set"
        )
    picture_HWC = resize(picture_of, generator.config.data.size)[0]
    return video_of(
        generator, picture_HWC, sound_of.audio_N, sound_of.audio_rate_hz, picture_of.label, options.steps[-1],
        frame_rate=sound_of.frame_rate, seed=options.seed,
    )  # fmt: skip


def _models(
    name: str, caption: str, models: Mapping[str, LoadedGenerator], items: Sequence[Sample], options: FigureOptions
) -> MadeFigure:
    size = max(generator.config.data.size for generator in models.values())
    blocks: list[Block] = []
    for sample in items:
        rows = [Row(name=REAL, video_THWC=resize(sample, size)[: options.steps[-1]])]
        rows += [Row(name=model, video_THWC=_video(made, sample, sample, options)) for model, made in models.items()]
        blocks.append(_block(f"{_named(sample)}, clip {sample.key}", rows, sample, options))
    return MadeFigure(name=name, caption=caption, blocks=blocks)


def _images(model: str, generator: LoadedGenerator, items: Sequence[Sample], options: FigureOptions) -> MadeFigure:
    sound = items[0]
    rows = [Row(name=f"picture\n{_named(item)}", video_THWC=_video(generator, item, sound, options)) for item in items]
    return MadeFigure(
        name=f"figure5-images-{model}",
        caption=f"{model}: one sound, different start pictures. The class is that of the picture.",
        blocks=[_block(f"{model}: the sound of {_named(sound)}, clip {sound.key}", rows, sound, options)],
    )


def _sounds(model: str, generator: LoadedGenerator, items: Sequence[Sample], options: FigureOptions) -> MadeFigure:
    picture = items[0]
    blocks = [
        _block(
            f"{model}: picture {_named(picture)}, the sound of {_named(sound)}, clip {sound.key}",
            [Row(name=f"sound\n{_named(sound)}", video_THWC=_video(generator, picture, sound, options))],
            sound,
            options,
        )
        for sound in items
    ]
    return MadeFigure(
        name=f"figure6-sounds-{model}",
        caption=f"{model}: one start picture, different sounds. The class is that of the picture.",
        blocks=blocks,
    )


def _named(sample: Sample) -> str:
    return f"{sample.label} ({sample.object_word})" if sample.object_word else sample.label


def _block(title: str, rows: Sequence[Row], sound: Sample, options: FigureOptions) -> Block:
    spec = resident.MEL_SPEC
    num_hops = round(options.steps[-1] / sound.frame_rate * spec.rate_hz / spec.hop_samples)
    mel_HM = windowing.raw_mel(sound.audio_N, sound.audio_rate_hz, spec)[:num_hops]
    silence = np.full((num_hops - len(mel_HM), spec.num_bands), spec.silence, np.float32)
    return Block(
        title=title,
        rows=rows,
        sound_N=sound.audio_N,
        sound_rate_hz=sound.audio_rate_hz,
        frame_rate=sound.frame_rate,
        mel_MH=np.concatenate([mel_HM, silence]).T,
    )


def _write(out: Path, figures: Sequence[MadeFigure], options: FigureOptions, record: Mapping[str, Any]) -> list[Path]:
    make_folder(out)
    pictures: list[Path] = []
    shown: list[dict[str, Any]] = []
    for figure in figures:
        drawing = draw(figure.blocks, options.steps, sound=options.sound)
        for form in ("png", "svg"):
            pictures.append(out / f"{figure.name}.{form}")
            write_bytes(pictures[-1], rendered(drawing, form))
        log.info("%s: drawn, writing its videos", figure.name)
        shown.append({"name": figure.name, "caption": figure.caption, "blocks": _films(out, figure)})
    write_bytes(out / "figures.json", (json.dumps(record, indent=1, ensure_ascii=False) + "\n").encode())
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cssgan.figures", "."), autoescape=True, undefined=jinja2.StrictUndefined
    )
    page = environment.get_template("page.html.j2").render(figures=shown, record=record)
    write_bytes(out / "index.html", page.encode())
    return [out / "index.html", *pictures]


def _films(out: Path, figure: MadeFigure) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for number, block in enumerate(figure.blocks):
        films: list[dict[str, str]] = []
        for place, row in enumerate(block.rows):
            file = f"{figure.name}-{number}-{place}.mp4"
            scale = max(1, 192 // row.video_THWC.shape[1])
            mp4.write_mp4(
                out / "videos" / file, row.video_THWC, block.frame_rate, block.sound_N, block.sound_rate_hz, scale=scale
            )
            films.append({"name": row.name, "file": file})
        blocks.append({"title": block.title, "films": films})
    return blocks
