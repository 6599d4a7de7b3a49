"""README.md of an exported model: a Hugging Face model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cssgan.config import object_size


def model_card(
    record: Mapping[str, Any], *, num_parameters: int, evaluation: Mapping[str, Any] | None, about: str | None = None
) -> str:
    """The model card as Markdown.

    Args:
        record: ``config.json`` of the export.
        evaluation: ``evaluation.json`` of the run; None: not evaluated.
        about: sections on data, licences, use and limits in Markdown, in place of the general section on limits. A first line
            ``license: NAME`` is not shown; it sets the licence of the card.
    """
    _, about = _split_license(about)
    config, progress, names = record["config"], record["progress"], record["label_set"]["names"]
    data, model, spec = config["data"], config["model"], record["mel_spec"]
    frames_per_stream, stride = data["num_frames"] // model["streams"], data.get("frame_stride", 1)
    held = "" if stride == 1 else f", each held for {stride} frames of the video"
    kind = model.get("kind", "cssgan")
    weights = "exponential moving average (EMA)" if record["weights"] == "ema" else "last training step"
    return f"""---
library_name: cssgan
license: {record["license"]}
pipeline_tag: image-to-video
tags: [audio-to-video, gan, {kind}]
---

# {kind}: {data["size"]}x{data["size"]}, {len(names)} classes

Input: one image, one audio signal and one class. Output: a video that moves with the audio. Trained with `cssgan train`
(*Cascaded Siamese Self-supervised Audio to Video GAN*, Aldausari et al., CVPR Workshops).

| | |
| --- | --- |
| weights | {num_parameters / 1e6:.2f} M parameters, {weights}, stored as {record.get("stored_as", "float32")} |
| training | {progress["num_videos"]} videos seen in {progress["num_steps"]} steps, seed {config["train"]["seed"]}{_started_from(record)} |
| frames | {data["size"]}x{data["size"]} RGB, {record["frame_rate"]} frames/s, {frames_per_stream} per stream{held}, any number per video |
| audio | log-mel, {spec["rate_hz"]} Hz, {spec["num_bands"]} bands x {spec["segment_hops"]} hops of \
{spec["hop_samples"] * 1000 // spec["rate_hz"]} ms per frame |
| classes | {", ".join(names)} |
{_object_row(data, model)}{_license_note(record)}
## Use

```python
import cssgan

model = cssgan.load_pretrained("PATH_OF_THIS_FOLDER")
# image_BCHW in [-1, 1]; mels_BTMU from model.audio_to_mels; label_B from model.label_set.index
video_BCTHW = model.generate(image_BCHW, mels_BTMU, label_B)
```

Or `cssgan generate --run PATH_OF_THIS_FOLDER --image a.png --audio a.wav --label {names[0]} --out a.mp4`.

## Metrics

{_metrics(evaluation)}

{about or _limits(data["num_frames"] * stride)}
"""


def license_of(about: str | None, init: Mapping[str, Any] | None) -> str:
    """The licence of the weights.

    Args:
        about: as of `model_card`; the licence that its first line names takes precedence.
        init: record of the weights that the run began from; None: new weights, which have the licence of the code.
    """
    named, _ = _split_license(about)
    return named or ("mit" if init is None else init.get("license") or "other")


def _split_license(about: str | None) -> tuple[str | None, str]:
    """The licence that `about` names in its first line, and the rest of `about`."""
    first, _, rest = (about or "").partition("\n")
    if first.startswith("license:"):
        return first.removeprefix("license:").strip(), rest.strip()
    return None, (about or "").strip()


def _license_note(record: Mapping[str, Any]) -> str:
    """A paragraph below the table if the licence is not known; otherwise empty."""
    if record["license"] != "other" or not record.get("init"):
        return ""
    return (
        "\nThe weights that the training began from decide the licence of these weights; none is recorded for them.\n"
    )


def _started_from(record: Mapping[str, Any]) -> str:
    init = record.get("init")
    if not init:
        return ""
    digest = f" (SHA-256 {init['digest'][:16]}...)" if init["digest"] else ""
    return f", started from the weights of {init['source']}{digest}"


def _limits(num_frames: int) -> str:
    return f"""## Limits

The model is only valid for classes, images and voices like those of its training set. Videos longer than a training
window ({num_frames} frames) continue from the last generated frame, so errors accumulate. The owners of the
training videos decide who may use them and what is generated from them."""


def _object_row(data: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """A row of the table about the optional inputs; empty without them."""
    inputs: list[str] = []
    if model.get("object_condition"):
        side = object_size(data["size"])
        inputs.append(f"picture of the object, {side}x{side} RGBA (`object_BCHW`, `--object`)")
    if model.get("word_dim"):
        inputs.append(f"word of the object, {model['word_dim']} numbers (`word_BE`, `--object-word`)")
    return f"| optional inputs | {'; '.join(inputs)} |\n" if inputs else ""


def _metrics(evaluation: Mapping[str, Any] | None) -> str:
    if evaluation is None:
        return "Not evaluated. Run `cssgan evaluate`, then export again to add the metrics here."
    rows = [
        f"| {name} | {result['value']:.4g} |"
        for name, result in evaluation.get("metrics", {}).items()
        if isinstance(result.get("value"), (int, float))
    ]
    protocol = (
        f"{evaluation.get('num_evaluated')} windows of split {evaluation.get('split')}, after "
        f"{evaluation.get('num_steps')} steps, {evaluation.get('weights')} weights."
    )
    return "\n".join([protocol, "", "| metric | value |", "| --- | ---: |", *rows])
