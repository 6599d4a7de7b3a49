"""README.md of an exported model, in the form of a Hugging Face model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def model_card(record: Mapping[str, Any], *, num_weights: int, evaluation: Mapping[str, Any] | None) -> str:
    """The card.

    Args:
        record: what ``config.json`` of the export holds.
        evaluation: ``evaluation.json`` of the run, if it was measured.
    """
    config, progress, names = record["config"], record["progress"], record["label_set"]["names"]
    data, model, spec = config["data"], config["model"], record["mel_spec"]
    stream = data["num_frames"] // model["streams"]
    kind = model.get("kind", "cssgan")
    weights = "the running average of the weights (EMA)" if record["weights"] == "ema" else "the weights as trained"
    return f"""---
library_name: cssgan
license: mit
pipeline_tag: image-to-video
tags: [audio-to-video, gan, {kind}]
---

# {kind}: {data["size"]}x{data["size"]}, {len(names)} classes

One picture, one sound and one class in; a video that moves with the sound out. Trained with `cssgan train`
(*Cascaded Siamese Self-supervised Audio to Video GAN*, Aldausari et al., CVPR Workshops).

| | |
| --- | --- |
| weights | {num_weights / 1e6:.2f} M, {weights} |
| training | {progress["num_videos"]} videos seen in {progress["num_steps"]} steps, seed {config["train"]["seed"]} |
| frames | {data["size"]}x{data["size"]} RGB, {record["frame_rate"]} frames/s, {stream} a stream, any number in use |
| sound | log-mel, {spec["rate_hz"]} Hz, {spec["num_bands"]} bands x {spec["segment_hops"]} hops of \
{spec["hop_samples"] * 1000 // spec["rate_hz"]} ms a frame |
| classes | {", ".join(names)} |

## Use

```python
import cssgan

model = cssgan.load_pretrained("PATH_OF_THIS_FOLDER")
video_BCTHW = model.generate(image_BCHW, mels_BTMU, label_B)  # all in [-1, 1]; model.standardize makes mels of log-mels
```

Or `cssgan generate --run PATH_OF_THIS_FOLDER --image a.png --audio a.wav --label {names[0]} --out a.mp4`.

## Measures

{_measures(evaluation)}

## Limits

It knows the classes, pictures and voices of its training set and no others. Sounds longer than a training window
({data["num_frames"]} frames) go on from the last generated frame, and errors add up. Who may use the videos that it was
trained on, and what is made with it, is for their owners to say.
"""


def _measures(evaluation: Mapping[str, Any] | None) -> str:
    if evaluation is None:
        return "Not measured; `cssgan evaluate` measures a run, and an export made after it tells here."
    rows = [
        f"| {name} | {result['value']:.4g} |"
        for name, result in evaluation.get("metrics", {}).items()
        if isinstance(result.get("value"), (int, float))
    ]
    what = (
        f"{evaluation.get('num_evaluated')} windows of split {evaluation.get('split')}, after "
        f"{evaluation.get('num_steps')} steps, {evaluation.get('weights')} weights."
    )
    return "\n".join([what, "", "| measure | value |", "| --- | ---: |", *rows])
