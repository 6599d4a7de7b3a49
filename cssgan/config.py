"""Configuration of a run: nested frozen dataclasses, validated on construction.

The metadata of each field holds its range and its help text. Validation, ``--set`` and ``cssgan show-config`` read both
from there.
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
    size: int = _field(64, "height and width of the frames in pixels", ge=16, le=256)
    num_frames: int = _field(32, "frames per training window", ge=8, le=128)
    frame_stride: int = _field(
        1,
        "a training window takes every k-th frame of the clip; a generated frame is held for k frames; not in the paper",
        ge=1,
        le=8,
    )
    mel_clamp: float = _field(4.0, "standardized log-mel values are clamped to +- this value", gt=0.0)
    segment_context: Literal["video", "clip"] = _field(
        "video", "context of a 200 ms mel segment: video (may include audio of neighbouring clips) or clip (silence)"
    )
    augment_colour: bool = _field(
        False, "randomly permute and invert the colour channels of training windows, equally in all frames"
    )
    augment_shift: int = _field(
        0, "shift training windows by up to this many pixels in each direction, equally in all frames", ge=0, le=64
    )
    shuffle_audio: bool = _field(
        False, "control: train each clip with the audio of another clip; such a run must fail the synchrony gate"
    )
    loader: Literal["auto", "resident", "streaming"] = _field(
        "auto", "resident: decode the shards once into a cache; streaming: read them every epoch; auto: by their size"
    )
    resident_gb: float = _field(16.0, "auto streams training shards larger than this, in 10^9 bytes", ge=0.0)
    workers: int = _field(2, "reader processes of the streaming loader; 0: read in the main process", ge=0, le=64)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderConfig:
    shuffle: Literal["none", "disc", "gen"] = _field(
        "gen", "where clips are permuted: nowhere, in the discriminator's features, or before the generator"
    )
    p_in_order: float = _field(
        0.0,
        "probability that a sample keeps its time order; such samples are left out of the order loss",
        ge=0.0,
        le=1.0,
    )
    sampling: Literal["random", "enumerate"] = _field(
        "random",
        "random: sample one order each time a video is used; enumerate: show all orders of a video in sequence",
    )
    max_orders: int = _field(
        24,
        "number of orders to classify; if there are more permutations, a fixed random subset is used",
        ge=2,
        le=40320,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    kind: Literal["cssgan", "mocogan", "g3an", "imaginator", "phonicsgan_like"] = _field(
        "cssgan", "the paper's model or a baseline (the presets of the same names set their options)"
    )
    num_clips: int = _field(4, "clips per window", ge=2, le=16)
    streams: int = _field(4, "generator streams: num_clips, or 1 (one stream generates the whole window)", ge=1, le=16)
    cascade: bool = _field(True, "each stream starts from the last frame of the stream before it")
    cascade_order: Literal["stream", "chrono"] = _field(
        "stream", "order of the cascade: the shuffled order, or time (clips are then permuted after generation)"
    )
    cascade_detach: bool = _field(False, "stop the gradient at the frame that is passed to the next stream")
    shuffled_starts: Literal["cascade", "real"] = _field(
        "cascade",
        "start images of the streams of a window that is not in time order: the cascade's, or the real frame before each "
        "clip (samples that order.p_in_order keeps in time order are always a cascade)",
    )
    start_image: Literal["video_first", "clip_first", "clip_prev"] = _field(
        "video_first",
        "start image of stream 1: first frame of the window, first frame of its first clip, or the frame before that clip",
    )
    width: int = _field(
        64, "generator channels at half resolution; doubled at each lower resolution, up to 8 times this value", ge=2
    )
    middle_first: int = _field(8, "middle channels of decoder block 1, as a multiple of its output channels", ge=1)
    middle: int = _field(
        12, "middle channels of the other decoder blocks, as a multiple of their output channels", ge=1
    )
    temporal_upsampling: Literal["middle", "late", "early"] = _field(
        "middle", "decoder blocks that double the frames: middle (1,2,4,8,8), late (1,1,2,4,8) or early (2,4,8,8,8)"
    )
    code_dim: int = _field(100, "size of the latent code of the start image", ge=1)
    audio_encoder: Literal["linear", "conv"] = _field(
        "linear", "features of a mel segment: one linear layer, or three convolutions of stride 2 with group norm"
    )
    audio_dim: int = _field(256, "features of a mel segment before the GRU", ge=1)
    gru_dim: int = _field(256, "size of the GRU state", ge=1)
    inject_dim: int = _field(64, "audio channels that every decoder block receives with audio_inject=every", ge=1)
    audio_inject: Literal["every", "bottleneck", "film"] = _field(
        "bottleneck",
        "audio enters only the first decoder block, as the paper says; every: also the others, as channels of their input; "
        "film: it also scales and shifts each channel of each frame in the others",
    )
    z_dim: int = _field(0, "size of the noise vector at the bottleneck; the paper has none", ge=0)
    norm: Literal["batch", "group"] = _field("batch", "normalization layers of the generator")
    g_output: Literal["direct", "compose", "warp", "warp_still"] = _field(
        "direct",
        "output: all pixels; compose: pixels blended onto the start image by a learned mask; warp: the same onto a start "
        "image whose pixels a flow field moves; warp_still: warp with small movements and faint masks damped, so that what "
        "stands still is copied",
    )
    audio_context: Literal["clip", "window"] = _field(
        "clip",
        "audio that a stream receives: of its own clip, or the states of a GRU in both directions over the window",
    )
    object_condition: bool = _field(
        False, "second picture as input: the object that appears; the model places it, also works without it"
    )
    word_dim: int = _field(
        0, "size of a fixed text embedding of the object word at the bottleneck; 0: no word", ge=0, le=4096
    )
    object_dropout: float = _field(
        0.5,
        "share of the training samples without the object picture and, chosen independently, without the word",
        ge=0.0,
        le=1.0,
    )
    motion: Literal["vector", "sequence"] = _field(
        "vector", "g3an: audio as one motion vector per window, or as a sequence of five"
    )
    attention: bool = _field(False, "g3an: self-attention over time, then over space, before the last block")


@dataclass(frozen=True, kw_only=True, slots=True)
class DiscriminatorConfig:
    width: int = _field(64, "channels of the first layers; doubled at each level, up to 8 times this value", ge=2)
    d_class: bool = _field(True, "condition the clip or video discriminator on the class")
    video_d: Literal["clips", "whole", "both"] = _field(
        "clips", "input of the video discriminator: each clip, the whole window, or both"
    )
    order_head: Literal["concat", "pairwise", "seam"] = _field(
        "concat",
        "how the order predictor joins the features of the clips: all, or in pairs; seam: all, and it also receives the "
        "last frame of each clip with the first one of each other clip",
    )
    d_audio: bool = _field(False, "condition the clip discriminator on the audio of each frame; not in the paper")
    seam_clips: bool = _field(
        False,
        "the clip discriminator also receives the second half of each clip with the first half of the next one, of "
        "windows in time order; not in the paper",
    )
    spectral: bool = _field(True, "spectral normalization in the discriminators; optional with gradient penalties")
    augment: Literal["none", "colour", "shift", "cutout", "all"] = _field(
        "none", "differentiable augmentation of real and generated videos, equally in all frames, never mirrored"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    l1_weight: float = _field(100.0, "weight of equation (4), L1", ge=0.0)
    l2_weight: float = _field(
        0.0,
        "weight of the mean squared error, whose minimum is the mean and not the start image; not in the paper",
        ge=0.0,
    )
    change_weight: float = _field(
        0.0,
        "L1 and squared error count 1 + this value times the real difference to the first frame of the window",
        ge=0.0,
    )
    place_weight: float = _field(
        0.0,
        "weight of the distance of the object picture from the object's boxes in the dataset, and of its presence (needs "
        "model.object_condition); not in the paper",
        ge=0.0,
    )
    image_weight: float = _field(1.0, "weight of equation (1), image discriminator, in the generator's loss", ge=0.0)
    video_weight: float = _field(1.0, "weight of equation (2), clip discriminator, in the generator's loss", ge=0.0)
    order_weight: float = _field(
        0.2,
        "weight of equation (3), order, in the generator's loss (on fakes); about .003 with order_head=seam",
        ge=0.0,
    )
    order_weight_d: float = _field(1.0, "weight of equation (3), order, in the discriminators' loss (on reals)", ge=0.0)
    class_weight: float = _field(
        1.0, "mocogan: weight of the class cross entropy in the generator's loss (on fakes)", ge=0.0
    )
    class_weight_d: float = _field(
        1.0, "mocogan: weight of the class cross entropy in the discriminators' loss (on reals)", ge=0.0
    )
    vote_loss: Literal["per_clip", "mean_logit"] = _field(
        "per_clip", "differentiable replacement of the majority vote: loss of each clip, or of the mean logit"
    )
    gan: Literal["bce", "rpgan"] = _field(
        "bce", "adversarial loss: non-saturating binary cross entropy, or relativistic pairing of real and generated"
    )
    r1_gamma: float = _field(0.0, "R1 gradient penalty on reals, weighted by half of this value", ge=0.0)
    r2_gamma: float = _field(0.0, "R2 gradient penalty on fakes, weighted by half of this value", ge=0.0)
    penalty_every: int = _field(1, "compute R1 and R2 in every n-th step only, with n times the weight", ge=1)
    mismatch_weight: float = _field(
        0.0,
        "discriminators: weight of real clips with the audio of another video or of another time, as fakes (needs "
        "discriminator.d_audio); not in the paper",
        ge=0.0,
    )
    l1_late_fraction: float = _field(
        0.0,
        "last fraction of the run, in which l2_weight falls linearly to 0 and l1_weight goes to l1_late_weight",
        ge=0.0,
        le=1.0,
    )
    l1_late_weight: float = _field(100.0, "weight of L1 at the end of a run with l1_late_fraction", ge=0.0)
    adv_start: int = _field(0, "first step with adversarial and order losses; before it the loss is L1 alone", ge=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimConfig:
    g_lr: float = _field(2e-4, "learning rate of the generator", gt=0.0, le=1.0)
    d_lr: float = _field(2e-4, "learning rate of the discriminators", gt=0.0, le=1.0)
    beta1: float = _field(0.5, "Adam's beta1", ge=0.0, le=1.0)
    beta2: float = _field(0.999, "Adam's beta2", ge=0.0, le=1.0)
    weight_decay: float = _field(0.0, "Adam's weight decay (L2)", ge=0.0, le=1.0)
    max_grad_norm: float = _field(
        0.0, "gradients of a network with a larger L2 norm are scaled down to it; 0: never", ge=0.0
    )
    lr_decay_fraction: float = _field(
        0.0, "last fraction of the run, in which both learning rates decay linearly to a tenth", ge=0.0, le=1.0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    seed: int = _field(
        0, "random seed; all randomness is a function of it and of the number of videos seen", ge=0, le=2**31 - 1
    )
    num_videos: int = _field(1_600_000, "videos to train on, repetitions included", ge=1)
    batch_size: int = _field(32, "videos per step, over all processes", ge=1)
    accumulate: int = _field(1, "micro-batches per step and process (gradient accumulation), to save memory", ge=1)
    ema_half_life: int = _field(0, "half-life of the generator's running average, in videos; 0: no average", ge=0)
    log_every: int = _field(50, "steps between lines of stats.jsonl", ge=1)
    sample_every: int = _field(500, "steps between sample images and their metrics; 0: none", ge=0)
    checkpoint_every: int = _field(1000, "steps between checkpoints", ge=1)
    keep_checkpoints: int = _field(3, "number of newest checkpoints to keep", ge=1)
    keep_best: bool = _field(True, "also keep the checkpoint with the lowest val_l1 (needs train.sample_every)")
    sample_videos: int = _field(2, "sample windows that are also written as videos with audio", ge=0, le=8)
    tracker: Literal["none", "wandb", "trackio"] = _field(
        "none", "experiment tracker, in addition to stats.jsonl and TensorBoard"
    )
    collapse_steps: int = _field(
        5000, "stop after this many steps with saturated discriminators or zero gradients; 0: never", ge=0
    )
    device: Literal["auto", "cpu", "cuda"] = _field("auto", "auto: a GPU if there is one")
    threads: int = _field(0, "CPU threads; 0: torch's default", ge=0, le=1024)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComputeConfig:
    """Speed options. Each keeps the losses within the tolerance that tests/cssgan/training/test_precision.py checks."""

    precision: Literal["auto", "fp32", "bf16"] = _field(
        "auto", "bf16: autocast with float32 weights and losses; auto: bf16 on a GPU, fp32 on a CPU"
    )
    channels_last: bool = _field(False, "channels-last memory format of the weights")
    compile: bool = _field(False, "torch.compile for decoder, image encoder and discriminators")
    cuda_graph: bool = _field(False, "capture the whole step as a CUDA graph; one GPU, no train.accumulate")
    fused_adam: bool = _field(True, "fused Adam: one kernel for all weights of an optimizer")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Configuration of a run. Change fields with `override` or `replace`.

    Raises:
        ConfigError: a field or a combination of fields is invalid.
    """

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
            raise ConfigError("data.num_frames", data.num_frames, "at least two frames per clip")
        if model.streams not in (1, model.num_clips):
            raise ConfigError("model.streams", model.streams, f"1 or model.num_clips ({model.num_clips})")
        if not is_power_of_two(self.frames_per_stream):
            raise ConfigError("data.num_frames", data.num_frames, "a power of two with model.streams=1")
        _check_losses(self)
        if model.kind != "cssgan":
            _check_baseline(self)
        elif model.attention or model.motion != "vector":
            name = "model.attention" if model.attention else "model.motion"
            raise ConfigError(name, getattr(model, name[6:]), "false and vector; other values need model.kind=g3an")
        if self.train.batch_size % self.train.accumulate:
            raise ConfigError("train.accumulate", self.train.accumulate, f"a divisor of {self.train.batch_size}")
        if data.shuffle_audio and data.loader == "streaming":
            raise ConfigError("data.loader", data.loader, "auto or resident with data.shuffle_audio")
        if self.compute.cuda_graph and self.train.accumulate > 1:
            raise ConfigError("compute.cuda_graph", True, "false with train.accumulate > 1")

    @property
    def context_frames(self) -> int | None:
        """Source frames around a mel segment that its audio may come from: those of its clip, or None: all."""
        return self.source_frames_per_clip if self.data.segment_context == "clip" else None

    @property
    def source_frames(self) -> int:
        """Frames of the source clip that a training window spans, `data.frame_stride` for each of its frames.

        The windows of evaluation and of the samples in training have so many frames.
        """
        return self.data.num_frames * self.data.frame_stride

    @property
    def source_frames_per_clip(self) -> int:
        return self.frames_per_clip * self.data.frame_stride

    @property
    def source_frames_per_stream(self) -> int:
        return self.frames_per_stream * self.data.frame_stride

    @property
    def frames_per_clip(self) -> int:
        return self.data.num_frames // self.model.num_clips

    @property
    def frames_per_stream(self) -> int:
        return self.data.num_frames // self.model.streams

    @property
    def num_orders(self) -> int:
        """Number of classes of the order predictor."""
        return min(math.factorial(self.model.num_clips), self.order.max_orders)

    @property
    def discriminator_frames(self) -> tuple[int, int]:
        """(frames per window that the image discriminator receives, number of frames that each is sampled from).

        cssgan: one frame of each clip; baselines: one frame of the window.
        """
        if self.model.kind == "cssgan":
            return self.model.num_clips, self.frames_per_clip
        return 1, self.data.num_frames


_BASELINE_VALUES: dict[str, object] = {
    "order.shuffle": "none",
    "model.streams": 1,
    "model.cascade": False,
    "model.start_image": "video_first",
    "model.shuffled_starts": "cascade",
    "model.audio_context": "clip",
    "model.audio_inject": "bottleneck",
    "model.object_condition": False,
    "model.word_dim": 0,
    "model.object_dropout": 0.5,
    "discriminator.video_d": "whole",
    "discriminator.order_head": "concat",
    "discriminator.d_audio": False,
    "discriminator.seam_clips": False,
    "loss.mismatch_weight": 0.0,
}
"""The only value that baselines accept for options of the cssgan alone."""
_SUPPORTED_OPTIONS: dict[str, tuple[str, ...]] = {
    "mocogan": (),
    "g3an": ("model.audio_encoder", "model.motion", "model.attention"),
    "imaginator": ("model.audio_encoder", "model.g_output", "model.norm", "model.temporal_upsampling"),
    "phonicsgan_like": (),
}
_UNSUPPORTED_VALUES: dict[str, object] = {
    "model.audio_encoder": "linear",
    "model.motion": "vector",
    "model.attention": False,
    "model.g_output": "direct",
    "model.norm": "batch",
    "model.temporal_upsampling": "middle",
}
"""The only value that a baseline accepts for an option that it does not support."""


def _check_losses(config: Config) -> None:
    """Raise `ConfigError` for options of losses that would have no effect, or that other options exclude."""
    loss, discriminator, train = config.loss, config.discriminator, config.train
    if loss.mismatch_weight > 0 and not discriminator.d_audio:
        raise ConfigError("loss.mismatch_weight", loss.mismatch_weight, "0 without discriminator.d_audio=true")
    if loss.mismatch_weight > 0 and train.batch_size // train.accumulate < 2:
        raise ConfigError(
            "loss.mismatch_weight", loss.mismatch_weight, "0 with one video per process and part: it needs another one"
        )
    for name, used in (
        ("loss.mismatch_weight", loss.mismatch_weight),
        ("discriminator.seam_clips", discriminator.seam_clips),
    ):
        if used and config.model.kind == "cssgan" and discriminator.video_d == "whole":
            raise ConfigError(
                name, used, "0 or false with discriminator.video_d=whole, which has no clip discriminator"
            )
    model = config.model
    is_cascade = model.cascade and model.cascade_order == "stream" and model.streams == model.num_clips
    if model.shuffled_starts == "real" and not (is_cascade and config.order.shuffle == "gen"):
        raise ConfigError(
            "model.shuffled_starts", "real", "cascade without a cascade in shuffled order (order.shuffle=gen)"
        )
    is_unused = model.kind == "cssgan" and not (model.object_condition or model.word_dim)
    if is_unused and model.object_dropout != ModelConfig().object_dropout:
        raise ConfigError(
            "model.object_dropout", model.object_dropout, "0.5 without model.object_condition and model.word_dim"
        )
    if loss.place_weight and not model.object_condition:
        raise ConfigError("loss.place_weight", loss.place_weight, "0 without model.object_condition=true")
    if loss.place_weight and model.cascade_order == "chrono":
        raise ConfigError("loss.place_weight", loss.place_weight, "0 with model.cascade_order=chrono")
    if discriminator.seam_clips and config.order.shuffle == "gen" and config.order.p_in_order == 0:
        raise ConfigError("discriminator.seam_clips", True, "false with order.p_in_order=0: no window is in time order")
    if loss.penalty_every > 1 and not loss.r1_gamma and not loss.r2_gamma:
        raise ConfigError("loss.penalty_every", loss.penalty_every, "1 without loss.r1_gamma or loss.r2_gamma")
    if loss.penalty_every > 1 and config.compute.cuda_graph:
        raise ConfigError("compute.cuda_graph", True, "false with loss.penalty_every > 1, whose steps differ")
    if loss.l1_late_fraction > 0 and not loss.l2_weight:
        raise ConfigError("loss.l1_late_fraction", loss.l1_late_fraction, "0 without loss.l2_weight, which it lowers")


def _check_baseline(config: Config) -> None:
    """Raise `ConfigError` for options that the baseline ignores, and for windows too short for its discriminators."""
    kind, values = config.model.kind, {option.name: option.value for option in options(config)}
    fixed = {name: value for name, value in _UNSUPPORTED_VALUES.items() if name not in _SUPPORTED_OPTIONS[kind]}
    for name, only in {**_BASELINE_VALUES, **fixed}.items():
        if values[name] != only:
            raise ConfigError(name, values[name], f"{str(only).lower()} with model.kind={kind}; start from its preset")
    if kind == "mocogan":
        if config.loss.r1_gamma > 0 or config.loss.r2_gamma > 0:
            raise ConfigError(
                "loss.r1_gamma", config.loss.r1_gamma, "0 with model.kind=mocogan, whose batch norm mixes videos"
            )
        if not config.discriminator.d_class:
            raise ConfigError(
                "discriminator.d_class", False, "true with model.kind=mocogan, whose discriminator predicts the class"
            )
    # Each of the log2(size) - 1 layers of their video discriminators removes three frames.
    needed = 3 * (config.data.size.bit_length() - 2) + 1
    if kind in ("mocogan", "g3an") and config.data.num_frames < needed:
        raise ConfigError("data.num_frames", config.data.num_frames, f"at least {needed} with model.kind={kind}")


MAX_INT = 2**53
"""The largest integer that every JSON reader represents exactly."""

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
"""Fields that may change when a run is resumed: duration, logging and speed, not what is trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One field of the configuration, as in messages, ``--set`` and ``show-config``."""

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
        kind = {"int": "whole number", "float": "number", "bool": "true or false"}[self.type.__name__]
        return f"{kind} {' and '.join(bounds)}".strip()

    def check(self, value: object) -> None:
        """Raise `ConfigError` unless `value` has the option's type and is in its range."""
        if get_origin(self.type) is Literal:
            good = value in get_args(self.type)
        elif self.type is bool:
            good = isinstance(value, bool)
        elif self.type is int:
            good = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_INT
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
            too_large = isinstance(value, int) and abs(value) > MAX_INT
            raise ConfigError(self.name, value, self.allowed + (f" and at most {MAX_INT} in size" if too_large else ""))

    def parse(self, text: str) -> object:
        """Convert `text` of ``--set`` to a value. Raises `ConfigError` if it is invalid."""
        value: object = text
        if self.type is bool:
            booleans = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
            value = booleans.get(text.lower(), text)
        elif self.type in (int, float):
            try:
                value = self.type(text.replace("_", ""))
            except ValueError:
                value = text
        self.check(value)
        return value


def object_size(frame_size: int) -> int:
    """Height and width of the object picture (`model.object_condition`) of a model with frames of `frame_size` pixels."""
    return frame_size // 2


def is_power_of_two(number: int) -> bool:
    return number > 0 and number & (number - 1) == 0


def options(config: Config) -> Iterator[Option]:
    """All fields of `config`, in the order of the dataclasses."""
    for section in dataclasses.fields(config):
        values = getattr(config, section.name)
        hints = typing.get_type_hints(type(values))
        for field in dataclasses.fields(values):
            yield Option(
                name=f"{section.name}.{field.name}",
                value=getattr(values, field.name),
                type=hints[field.name],
                **field.metadata,
            )


def override(config: Config, settings: Iterable[str]) -> Config:
    """`config` with ``section.field=value`` settings applied, left to right.

    Raises:
        ConfigError: unknown field, wrong type, out of range, or an invalid combination.
    """
    known = {option.name: option for option in options(config)}
    changes: dict[str, object] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        name = name.strip()
        if not equals:
            raise ConfigError(name, setting, "section.field=value, such as loss.order_weight=0.5")
        changes[name] = _find_option(known, name, text).parse(text.strip())
    return replace(config, changes)


def replace(config: Config, changes: Mapping[str, object]) -> Config:
    """`config` with fields changed by dotted name. Raises as `override`."""
    known = {option.name: option for option in options(config)}
    sections: dict[str, dict[str, object]] = {}
    for name, value in changes.items():
        _find_option(known, name, value).check(value)
        section, _, field = name.partition(".")
        sections.setdefault(section, {})[field] = value
    changed = {name: dataclasses.replace(getattr(config, name), **fields) for name, fields in sections.items()}
    return dataclasses.replace(config, **changed)


def _find_option(known: Mapping[str, Option], name: str, value: object) -> Option:
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
    """section -> field -> value, as JSON types."""
    return dataclasses.asdict(config)


def from_json(values: Mapping[str, object]) -> Config:
    """The inverse of `to_json`. Missing fields take their defaults. Raises `ConfigError` for unknown fields."""
    changes: dict[str, object] = {}
    for section, fields in values.items():
        if not isinstance(fields, Mapping):
            raise ConfigError(section, fields, "an object of fields")
        for field, value in cast(Mapping[str, object], fields).items():
            changes[f"{section}.{field}"] = value
    return replace(Config(), changes)


def differences(old: Config, new: Config, *, ignore: frozenset[str] = frozenset()) -> list[str]:
    """``field: old -> new`` for every field that differs, except those in `ignore`."""
    pairs = zip(options(old), options(new), strict=True)
    return [f"{a.name}: {a.value} -> {b.value}" for a, b in pairs if a.value != b.value and a.name not in ignore]
