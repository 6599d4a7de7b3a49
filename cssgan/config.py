"""The whole configuration of a run: nested frozen dataclasses that check themselves when they are built.

Each field carries its range and its one line of help in its metadata, so that the checks, ``--set`` and
``cssgan show-config`` all speak of the same thing.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

from cssgan.errors import ConfigError

T = TypeVar("T")


def _field(default: T, help: str, *, ge: float | None = None, le: float | None = None, gt: float | None = None) -> T:
    metadata = {"help": help, "ge": ge, "le": le, "gt": gt}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    size: int = _field(64, "height and width of the frames that the model sees", ge=16, le=256)
    num_frames: int = _field(32, "frames of a training window", ge=8, le=128)
    mel_clamp: float = _field(4.0, "standardized mels are clamped to +- this", gt=0.0)
    segment_context: Literal["video", "clip"] = _field(
        "video", "whether the 200 ms of an edge frame may reach into the neighbouring clip (clip: silence instead)"
    )
    augment_colour: bool = _field(
        False, "training windows get their colour channels permuted and inverted at random, alike in all frames"
    )
    augment_shift: int = _field(
        0, "training windows are moved by up to so many pixels each way, alike in all frames", ge=0, le=64
    )
    shuffle_audio: bool = _field(
        False, "control: train every clip with the sound of another clip; such a run must fail the synchrony gate"
    )
    loader: Literal["auto", "resident", "streaming"] = _field(
        "auto", "decode the shards once into a cache, or read them anew every epoch; auto: by their size"
    )
    resident_gb: float = _field(16.0, "auto streams training shards that are larger than this, in 10^9 bytes", ge=0.0)
    workers: int = _field(2, "processes that read ahead in the streaming feed; 0: none", ge=0, le=64)
    shuffle_buffer: int = _field(256, "samples that the streaming feed holds to draw from", ge=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderConfig:
    shuffle: Literal["none", "disc", "gen"] = _field(
        "gen", "where clips are permuted: nowhere, inside the discriminator, or already for the generator"
    )
    p_in_order: float = _field(0.0, "share of samples kept in time order, left out of the order loss", ge=0.0, le=1.0)
    draw: Literal["random", "enumerate"] = _field(
        "random", "one random order a visit, or all orders of a video one after the other"
    )
    max_orders: int = _field(
        24, "orders that are told apart; clips with more orders use so many of them, drawn once", ge=2, le=40320
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    kind: Literal["cssgan", "mocogan", "g3an", "imaginator", "phonicsgan_like"] = _field(
        "cssgan", "the paper's model, or one that it is compared with (presets of the same names set their options)"
    )
    num_clips: int = _field(4, "clips that a window is cut into, the pieces of the order puzzle", ge=2, le=16)
    streams: int = _field(4, "generator streams: num_clips, or 1 (one stream makes the whole window)", ge=1, le=16)
    cascade: bool = _field(True, "each stream starts from the last frame of the one before it")
    cascade_order: Literal["stream", "chrono"] = _field(
        "stream", "the cascade follows the shuffled order, or time (clips are then permuted after generation)"
    )
    cascade_detach: bool = _field(False, "stop the gradient at the frame that is passed on")
    start_image: Literal["video_first", "clip_first", "clip_prev"] = _field(
        "video_first", "image of stream 1: first frame of the video, or of its first presented clip, or the one before"
    )
    width: int = _field(64, "channels of the generator at half resolution; doubled each level down, to 8 times", ge=2)
    middle_first: int = _field(8, "middle channels of decoder block 1, as a multiple of its output", ge=1)
    middle: int = _field(12, "middle channels of the other decoder blocks, as a multiple of their output", ge=1)
    temporal_plan: Literal["middle", "late", "early"] = _field(
        "middle", "which blocks double the frames: up to half resolution (1,2,4,8,8), later (1,1,2,4,8), earlier"
    )
    code_dim: int = _field(100, "image code at the bottleneck", ge=1)
    audio_dim: int = _field(256, "features of a segment before the GRU", ge=1)
    gru_dim: int = _field(256, "state of the GRU", ge=1)
    inject_dim: int = _field(64, "audio channels that every decoder block receives", ge=1)
    audio_inject: Literal["every", "bottleneck"] = _field("every", "audio enters every decoder block or the first only")
    z_dim: int = _field(0, "noise at the bottleneck; the paper has none", ge=0)
    norm: Literal["batch", "group"] = _field("batch", "normalization of the generator")
    g_output: Literal["direct", "compose"] = _field(
        "direct", "paint every pixel, or blend what is painted onto the start image by a learnt mask"
    )
    motion: Literal["vector", "sequence"] = _field(
        "vector", "g3an: the sound as one motion vector of a window, or as a short row of them"
    )
    attention: bool = _field(False, "g3an: self-attention over time, then over space, before the last block")


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorConfig:
    width: int = _field(64, "channels of the first layers; doubled each level, to 8 times", ge=2)
    d_class: bool = _field(True, "the clip discriminator is told the class")
    video_d: Literal["clips", "whole", "both"] = _field("clips", "judge every clip, the whole window, or both")
    order_head: Literal["concat", "pairwise"] = _field("concat", "how the order predictor joins the clips' features")
    d_audio: bool = _field(False, "the clip discriminator hears the sound of each frame; not in the paper")
    spectral: bool = _field(True, "spectral norm in the discriminators; off where penalties do its work")
    augment: Literal["none", "colour", "shift", "cutout", "all"] = _field(
        "none", "differentiable augmentation of real and generated videos, alike in all frames, never mirrored"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    l1_weight: float = _field(100.0, "weight of equation (4)", ge=0.0)
    image_weight: float = _field(1.0, "weight of equation (1) in the generator's loss", ge=0.0)
    video_weight: float = _field(1.0, "weight of equation (2) in the generator's loss", ge=0.0)
    order_weight: float = _field(0.2, "weight of equation (3) in the generator's loss (on fakes)", ge=0.0)
    order_weight_d: float = _field(1.0, "weight of equation (3) in the discriminators' loss (on real clips)", ge=0.0)
    class_weight: float = _field(1.0, "mocogan: weight of naming the class in the generator's loss (on fakes)", ge=0.0)
    class_weight_d: float = _field(1.0, "mocogan: the same in the discriminators' loss (on reals)", ge=0.0)
    vote_loss: Literal["per_clip", "mean_logit"] = _field("per_clip", "what stands in for the majority vote")
    gan: Literal["bce", "rpgan"] = _field("bce", "the game: cross entropy, or relativistic pairs of real and generated")
    r1_gamma: float = _field(0.0, "half of it weighs the squared gradient of the discriminators on reals", ge=0.0)
    r2_gamma: float = _field(0.0, "the same on fakes", ge=0.0)
    adv_start: int = _field(0, "step from which the adversarial and order terms count; before it, L1 alone", ge=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    g_lr: float = _field(2e-4, "learning rate of the generator", gt=0.0, le=1.0)
    d_lr: float = _field(2e-4, "learning rate of the discriminators", gt=0.0, le=1.0)
    beta1: float = _field(0.5, "Adam's first decay", ge=0.0, le=1.0)
    beta2: float = _field(0.999, "Adam's second decay", ge=0.0, le=1.0)
    weight_decay: float = _field(0.0, "Adam's pull of all weights towards 0", ge=0.0, le=1.0)
    lr_decay_fraction: float = _field(
        0.0, "last share of the run over which both learning rates fall linearly to a tenth", ge=0.0, le=1.0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    seed: int = _field(0, "everything random derives from it and from the number of videos seen", ge=0, le=2**31 - 1)
    num_videos: int = _field(1_600_000, "videos to see, repeats counted", ge=1)
    batch_size: int = _field(32, "videos a step, over all processes", ge=1)
    accumulate: int = _field(1, "parts that each process cuts its share of a batch into, to save memory", ge=1)
    ema_half_life: int = _field(0, "half-life in videos of the averaged generator; 0: none is kept", ge=0)
    log_every: int = _field(50, "steps between lines of stats.jsonl", ge=1)
    sample_every: int = _field(500, "steps between sample pictures and their readouts; 0: none", ge=0)
    checkpoint_every: int = _field(1000, "steps between checkpoints", ge=1)
    keep_checkpoints: int = _field(3, "checkpoints that are kept", ge=1)
    keep_best: bool = _field(True, "keep the checkpoint of the lowest val_l1 as well (with train.sample_every)")
    sample_videos: int = _field(2, "sample windows that are written as films with their sound, too", ge=0, le=8)
    tracker: Literal["none", "wandb", "trackio"] = _field("none", "where curves go besides stats.jsonl and TensorBoard")
    collapse_steps: int = _field(
        5000, "stop after so many steps in which the discriminators had won, or gradients were zero; 0: never", ge=0
    )
    device: Literal["auto", "cpu", "cuda"] = _field("auto", "auto: a GPU where there is one")
    threads: int = _field(0, "CPU threads; 0: torch decides", ge=0, le=1024)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig:
    """How fast, not what: each leaves the losses within the tolerance that tests/cssgan/training/test_precision.py holds."""

    precision: Literal["auto", "fp32", "bf16"] = _field(
        "auto", "bf16: autocast with float32 weights and losses; auto: bf16 on a GPU, fp32 on a CPU"
    )
    channels_last: bool = _field(False, "lay pictures out with the channels last")
    compile: bool = _field(False, "torch.compile for decoder, image encoder and discriminators")
    cuda_graph: bool = _field(False, "record the whole step once and replay it; one GPU, no train.accumulate")
    fused_adam: bool = _field(True, "one kernel for all weights of an optimizer")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Everything that decides how a run goes. Build it, or change it with `override`; wrong values raise `ConfigError`."""

    data: DataConfig = DataConfig()
    order: OrderConfig = OrderConfig()
    model: ModelConfig = ModelConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: LossConfig = LossConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    compute: ComputeConfig = ComputeConfig()

    def __post_init__(self) -> None:
        for option in options(self):
            option.check(option.value)
        data, model = self.data, self.model
        if data.size & (data.size - 1):
            raise ConfigError("data.size", data.size, "a power of two, 16 to 256")
        if data.num_frames % model.num_clips or not is_power_of_two(data.num_frames // model.num_clips):
            raise ConfigError(
                "data.num_frames", data.num_frames, f"model.num_clips ({model.num_clips}) times a power of two"
            )
        if data.num_frames < 2 * model.num_clips:
            raise ConfigError("data.num_frames", data.num_frames, "at least two frames a clip")
        if model.streams not in (1, model.num_clips):
            raise ConfigError("model.streams", model.streams, f"1 or model.num_clips ({model.num_clips})")
        if not is_power_of_two(self.frames_per_stream):
            raise ConfigError("data.num_frames", data.num_frames, "a power of two for a model that makes it at once")
        if model.kind != "cssgan":
            _check_baseline(self)
        elif model.attention or model.motion != "vector":
            name = "model.attention" if model.attention else "model.motion"
            raise ConfigError(name, getattr(model, name[6:]), "false and vector but for model.kind=g3an")
        if self.train.batch_size % self.train.accumulate:
            raise ConfigError("train.accumulate", self.train.accumulate, f"a divisor of {self.train.batch_size}")
        if data.shuffle_audio and data.loader == "streaming":
            raise ConfigError("data.loader", data.loader, "auto or resident with data.shuffle_audio")
        if self.compute.cuda_graph and self.train.accumulate > 1:
            raise ConfigError("compute.cuda_graph", True, "false with train.accumulate > 1")

    @property
    def context_frames(self) -> int | None:
        """Frames of the stretch outside which a segment hears nothing: its own clip's, or None, with `segment_context`."""
        return self.frames_per_clip if self.data.segment_context == "clip" else None

    @property
    def frames_per_clip(self) -> int:
        return self.data.num_frames // self.model.num_clips

    @property
    def frames_per_stream(self) -> int:
        return self.data.num_frames // self.model.streams

    @property
    def num_orders(self) -> int:
        """Orders that the predictor tells apart."""
        return min(math.factorial(self.model.num_clips), self.order.max_orders)

    @property
    def discriminator_frames(self) -> tuple[int, int]:
        """Frames of a window that the image discriminator sees, and out of how many each is drawn.

        One of each clip; for models that know no clips, one of the window.
        """
        if self.model.kind == "cssgan":
            return self.model.num_clips, self.frames_per_clip
        return 1, self.data.num_frames


_BASELINE: dict[str, object] = {
    "order.shuffle": "none",
    "model.streams": 1,
    "model.cascade": False,
    "model.start_image": "video_first",
    "discriminator.video_d": "whole",
    "discriminator.order_head": "concat",
    "discriminator.d_audio": False,
}
"""What only the paper's own model has, switched off: the other models refuse the rest, they would not follow it."""
_OWN: dict[str, tuple[str, ...]] = {
    "mocogan": (),
    "g3an": ("model.motion", "model.attention"),
    "imaginator": ("model.g_output", "model.norm", "model.temporal_plan"),
    "phonicsgan_like": (),
}
_DEFAULT_ELSEWHERE: dict[str, object] = {
    "model.motion": "vector",
    "model.attention": False,
    "model.g_output": "direct",
    "model.norm": "batch",
    "model.temporal_plan": "middle",
}


def _check_baseline(config: Config) -> None:
    """Refuse options that a model would not follow, and windows too short for its discriminators."""
    kind, values = config.model.kind, {option.name: option.value for option in options(config)}
    others = {name: value for name, value in _DEFAULT_ELSEWHERE.items() if name not in _OWN[kind]}
    for name, only in {**_BASELINE, **others}.items():
        if values[name] != only:
            raise ConfigError(name, values[name], f"{str(only).lower()} with model.kind={kind}; start from its preset")
    if kind == "mocogan":
        if config.loss.r1_gamma > 0 or config.loss.r2_gamma > 0:
            raise ConfigError(
                "loss.r1_gamma", config.loss.r1_gamma, "0 with model.kind=mocogan, whose norms mix videos"
            )
        if not config.discriminator.d_class:
            raise ConfigError("discriminator.d_class", False, "true with model.kind=mocogan, which names the class")
    # Their video discriminators take three frames a layer off, at each of log2(size) - 1 layers.
    needed = 3 * (config.data.size.bit_length() - 2) + 1
    if kind in ("mocogan", "g3an") and config.data.num_frames < needed:
        raise ConfigError("data.num_frames", config.data.num_frames, f"at least {needed} with model.kind={kind}")


MOST = 2**53
"""The largest whole number that every reader of JSON takes as it is."""

RESUMABLE = frozenset(
    {
        "train.num_videos",
        "train.log_every",
        "train.sample_every",
        "train.checkpoint_every",
        "train.keep_checkpoints",
        "train.keep_best",
        "train.sample_videos",
        "train.tracker",
        "train.collapse_steps",
        "train.device",
        "train.threads",
        "train.accumulate",
        "data.workers",
        "compute.precision",
        "compute.channels_last",
        "compute.compile",
        "compute.cuda_graph",
        "compute.fused_adam",
    }
)
"""Fields that may change when a run is resumed: they decide how far and how often, not what is learnt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One field of the configuration, for messages, ``--set`` and ``show-config``."""

    name: str
    value: object
    type: Any
    help: str
    ge: float | None
    le: float | None
    gt: float | None

    @property
    def allowed(self) -> str:
        """Type and range in words."""
        if get_origin(self.type) is Literal:
            return " | ".join(str(choice) for choice in get_args(self.type))
        bounds = [
            f"{sign} {bound:g}"
            for sign, bound in ((">", self.gt), (">=", self.ge), ("<=", self.le))
            if bound is not None
        ]
        word = {"int": "whole number", "float": "number", "bool": "true or false"}[self.type.__name__]
        return " ".join([word, " and ".join(bounds)]).strip()

    def check(self, value: object) -> None:
        """Raise `ConfigError` unless `value` has this option's type and lies in its range."""
        if get_origin(self.type) is Literal:
            good = value in get_args(self.type)
        elif self.type is bool:
            good = isinstance(value, bool)
        elif self.type is int:
            good = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST
        else:
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if good and self.type in (int, float):
            number = cast(float, value)
            good = (
                (self.ge is None or number >= self.ge)
                and (self.le is None or number <= self.le)
                and (self.gt is None or number > self.gt)
            )
        if not good:
            too_large = isinstance(value, int) and abs(value) > MOST
            raise ConfigError(self.name, value, self.allowed + (f" and at most {MOST} in size" if too_large else ""))

    def parse(self, text: str) -> object:
        """The value that `text` of ``--set`` stands for, checked."""
        value: object = text
        if self.type is bool:
            value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
                text.lower(), text
            )
        elif self.type in (int, float):
            try:
                value = self.type(text.replace("_", ""))
            except ValueError:
                value = text
        self.check(value)
        return value


def is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


def options(config: Config) -> Iterator[Option]:
    """Every field of `config`, in the order of the dataclasses."""
    for section in dataclasses.fields(config):
        part = getattr(config, section.name)
        hints = typing.get_type_hints(type(part))
        for field in dataclasses.fields(part):
            yield Option(
                name=f"{section.name}.{field.name}",
                value=getattr(part, field.name),
                type=hints[field.name],
                help=field.metadata["help"],
                ge=field.metadata["ge"],
                le=field.metadata["le"],
                gt=field.metadata["gt"],
            )


def override(config: Config, settings: Iterable[str]) -> Config:
    """`config` with ``section.field=value`` settings applied, left to right.

    Raises:
        ConfigError: unknown field, wrong type, out of range, or a combination that does not fit.
    """
    known = {option.name: option for option in options(config)}
    changes: dict[str, object] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals:
            raise ConfigError(name, setting, "section.field=value, such as loss.order_weight=0.5")
        changes[name] = _known(known, name, text).parse(text.strip())
    return replace(config, changes)


def replace(config: Config, changes: Mapping[str, object]) -> Config:
    """`config` with fields changed by dotted name."""
    known = {option.name: option for option in options(config)}
    sections: dict[str, dict[str, object]] = {}
    for name, value in changes.items():
        _known(known, name, value).check(value)
        section, _, field = name.partition(".")
        sections.setdefault(section, {})[field] = value
    parts = {name: dataclasses.replace(getattr(config, name), **fields) for name, fields in sections.items()}
    return dataclasses.replace(config, **parts)


def _known(known: Mapping[str, Option], name: str, value: object) -> Option:
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    raise ConfigError(
        name,
        value,
        f"a field that `cssgan show-config` lists{', such as ' + ', '.join(near) if near else ''}",
        exists=False,
    )


def to_json(config: Config) -> dict[str, dict[str, object]]:
    """Nested plain values, section -> field -> value."""
    return dataclasses.asdict(config)


def from_json(values: Mapping[str, object]) -> Config:
    """The config that `to_json` wrote. Unknown fields are refused, missing ones take their default."""
    changes: dict[str, object] = {}
    for section, fields in values.items():
        if not isinstance(fields, Mapping):
            raise ConfigError(section, fields, "an object of fields")
        for field, value in cast(Mapping[str, object], fields).items():
            changes[f"{section}.{field}"] = value
    return replace(Config(), changes)


def differences(old: Config, new: Config, *, ignore: frozenset[str] = frozenset()) -> list[str]:
    """``field: old -> new`` for every field that differs, `ignore` left out."""
    pairs = zip(options(old), options(new), strict=True)
    return [f"{a.name}: {a.value} -> {b.value}" for a, b in pairs if a.value != b.value and a.name not in ignore]
