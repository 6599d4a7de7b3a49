"""`cssgan generate`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import ModelOption, WeightsOption, parse_weights
from phonics_data.contract.console import say
from phonics_data.contract.frame_rate import rate_of_text
from phonics_data.errors import InputError, OptionError


def generate(
    model: ModelOption,
    out: Annotated[Path, typer.Option(help="mp4 file to write; with --pairs: folder.")],
    image: Annotated[Path | None, typer.Option(help="Start image; its central square is used.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Audio file of any length and sample rate.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Class, such as A; with --pairs: for pairs without a class.")
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="CSV (image, audio; optional label, out, seed, object, object_word), or folder with CLASS/NAME.png and CLASS/NAME.wav."
        ),
    ] = None,
    object_picture: Annotated[
        Path | None,
        typer.Option(
            "--object",
            help="Picture of the object that appears, for models with model.object_condition; without transparency, a border "
            "of one colour is the background.",
        ),
    ] = None,
    object_word: Annotated[
        str | None, typer.Option(help="Word of the object, such as lion, for models with model.word_dim.")
    ] = None,
    frame_rate: Annotated[
        str | None, typer.Option(help="Frame rate, such as 25 or 30000/1001; default: that of the train split.")
    ] = None,
    scale: Annotated[
        int | None, typer.Option(help="Integer upscaling factor; default: the largest up to 256 pixels.", min=1, max=64)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the noise.", min=0)] = 0,
    batch: Annotated[int, typer.Option(help="Batch size, with --pairs.", min=1)] = 8,
    weights: WeightsOption = "last",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Generate videos from images and audio. Audio longer than a training window continues from the last frame.

    With --pairs, OUT contains the videos, videos.csv, and rejections.csv if pairs could not be used.

    With --object, a model trained with model.object_condition shows this object at its place in the phrase.

    Example: cssgan generate --model rendered-64 --image a.png --audio apple.wav --label A --out apple.mp4
    """
    which = parse_weights(weights)
    rate = None if frame_rate is None else _parse_frame_rate(frame_rate)
    if pairs is not None and any(value is not None for value in (image, audio, object_picture, object_word)):
        raise OptionError("--pairs", str(pairs), "without --image, --audio, --object and --object-word")
    from cssgan.training.device import parse_device

    torch_device = parse_device(device)
    if pairs is not None:
        from cssgan.inference.batch import REJECTIONS_FILE, generate_pairs, read_pairs
        from cssgan.inference.export import load_generator

        pair_list = read_pairs(pairs, label=label, seed=seed)
        generator = load_generator(model, which=which, device=torch_device)
        result = generate_pairs(generator, pair_list, out, frame_rate=rate, scale=scale, max_batch=batch)
        reused = f", {result.num_reused} of them from an earlier run" if result.num_reused else ""
        say(f"{out}: {len(result.videos)} videos{reused}")
        if result.rejected:
            raise InputError(
                f"{len(result.rejected)} of {len(pair_list.pairs) + len(pair_list.rejected)} pairs were rejected, first: "
                f"{result.rejected[0].reason}; all are listed in {out / REJECTIONS_FILE}"
            )
        return
    if image is None or audio is None or label is None:
        missing = next(name for name, value in (("image", image), ("audio", audio), ("label", label)) if value is None)
        raise OptionError(f"--{missing}", "nothing", "a value, or --pairs for many videos")
    from cssgan.inference.generate import generate_video, load_generator

    video = generate_video(
        load_generator(model, which=which, device=torch_device),
        image=image,
        audio=audio,
        label=label,
        out=out,
        object_picture=object_picture,
        object_word=object_word or "",
        frame_rate=rate,
        scale=scale,
        seed=seed,
    )
    say(f"{video.path}: {video.num_frames} frames at {float(video.frame_rate):g} frames/s, class {video.label}")


def _parse_frame_rate(text: str) -> Fraction:
    rate = rate_of_text(text)
    if not 1 <= rate <= 120:
        raise OptionError("--frame-rate", text, "1 to 120 frames per second, such as 25 or 30000/1001")
    return rate
