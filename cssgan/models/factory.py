"""Config -> objects: the one place where a name of the configuration becomes a class."""

from __future__ import annotations

from cssgan.config import Config
from cssgan.models.baselines.g3an import G3anGenerator, SeparableVideoDiscriminator
from cssgan.models.baselines.imaginator import ConditionalVideoDiscriminator, ImaginatorGenerator
from cssgan.models.baselines.mocogan import CategoricalVideoDiscriminator, MocoganGenerator, PatchImageDiscriminator
from cssgan.models.baselines.phonicsgan import PhonicsganLikeGenerator
from cssgan.models.baselines.window_model import WindowDiscriminators
from cssgan.models.discriminators import CascadedDiscriminators, ImageDiscriminator
from cssgan.models.generator import CascadedGenerator
from cssgan.models.interface import Discriminators, VideoGenerator
from phonics_data.contract.logmel import LogMelSpec


def generator(config: Config, *, num_classes: int, mel_spec: LogMelSpec | None = None) -> VideoGenerator:
    """The generator that `config` describes, freshly initialized from torch's global generator of randomness."""
    spec = mel_spec or LogMelSpec()
    if config.model.kind == "cssgan":
        return _cascaded(config, num_classes, spec)
    if config.model.kind == "mocogan":
        return _mocogan(config, num_classes, spec)
    if config.model.kind == "g3an":
        return _g3an(config, num_classes, spec)
    if config.model.kind == "imaginator":
        return _imaginator(config, num_classes, spec)
    return _phonicsgan_like(config, num_classes, spec)


def discriminators(config: Config, *, num_classes: int, mel_spec: LogMelSpec | None = None) -> Discriminators:
    """All that discriminators: image, clip or video discriminator, and the order predictor where clips are shuffled."""
    if config.model.kind != "cssgan":
        return _window_discriminators(config, num_classes)
    discriminators, spec = config.discriminator, mel_spec or LogMelSpec()
    return CascadedDiscriminators(
        size=config.data.size,
        width=discriminators.width,
        num_clips=config.model.num_clips,
        frames_per_clip=config.frames_per_clip,
        class_dim=num_classes if discriminators.d_class else 0,
        use_clips=discriminators.video_d != "whole",
        use_video=discriminators.video_d != "clips",
        predict_order=config.order.shuffle != "none",
        pairwise=discriminators.order_head == "pairwise",
        segment_dim=spec.num_bands * spec.segment_hops if discriminators.d_audio else 0,
        num_orders=config.num_orders,
        spectral=discriminators.spectral,
    )


def _window_discriminators(config: Config, num_classes: int) -> WindowDiscriminators:
    size, discriminators = config.data.size, config.discriminator
    if config.model.kind == "mocogan":
        return WindowDiscriminators(
            PatchImageDiscriminator(size=size, width=discriminators.width),
            CategoricalVideoDiscriminator(size=size, width=discriminators.width, num_classes=num_classes),
            together=False,
        )
    image = ImageDiscriminator(size=size, width=discriminators.width, spectral=discriminators.spectral)
    class_dim = num_classes if discriminators.d_class else 0
    if config.model.kind == "g3an":
        video = SeparableVideoDiscriminator(
            size=size, width=discriminators.width, class_dim=class_dim, spectral=discriminators.spectral
        )
    else:
        video = ConditionalVideoDiscriminator(
            size=size,
            width=discriminators.width,
            num_frames=config.data.num_frames,
            class_dim=class_dim,
            spectral=discriminators.spectral,
        )
    return WindowDiscriminators(image, video)


def _cascaded(config: Config, num_classes: int, spec: LogMelSpec) -> CascadedGenerator:
    model = config.model
    return CascadedGenerator(
        size=config.data.size,
        num_classes=num_classes,
        frames_per_stream=config.frames_per_stream,
        num_bands=spec.num_bands,
        segment_hops=spec.segment_hops,
        width=model.width,
        middle_first=model.middle_first,
        middle=model.middle,
        plan=model.temporal_plan,
        code_dim=model.code_dim,
        audio_dim=model.audio_dim,
        gru_dim=model.gru_dim,
        inject_dim=model.inject_dim,
        inject_every=model.audio_inject == "every",
        z_dim=model.z_dim,
        norm=model.norm,
        compose=model.g_output == "compose",
        # A single stream has nothing to pass on inside a window; in use it goes on from its own last frame.
        use_cascade=model.cascade or model.streams == 1,
        detach=model.cascade_detach,
    )


def _mocogan(config: Config, num_classes: int, spec: LogMelSpec) -> MocoganGenerator:
    model = config.model
    return MocoganGenerator(
        size=config.data.size,
        num_frames=config.data.num_frames,
        num_classes=num_classes,
        segment_dim=spec.num_bands * spec.segment_hops,
        width=model.width,
        code_dim=model.code_dim,
        motion_dim=model.gru_dim,
        z_dim=model.z_dim,
    )


def _g3an(config: Config, num_classes: int, spec: LogMelSpec) -> G3anGenerator:
    model = config.model
    return G3anGenerator(
        size=config.data.size,
        num_frames=config.data.num_frames,
        num_classes=num_classes,
        num_bands=spec.num_bands,
        segment_hops=spec.segment_hops,
        width=model.width,
        code_dim=model.code_dim,
        audio_dim=model.audio_dim,
        motion_dim=model.gru_dim,
        z_dim=model.z_dim,
        sequence=model.motion == "sequence",
        attention=model.attention,
    )


def _imaginator(config: Config, num_classes: int, spec: LogMelSpec) -> ImaginatorGenerator:
    model = config.model
    return ImaginatorGenerator(
        size=config.data.size,
        num_frames=config.data.num_frames,
        num_classes=num_classes,
        num_bands=spec.num_bands,
        segment_hops=spec.segment_hops,
        width=model.width,
        code_dim=model.code_dim,
        audio_dim=model.audio_dim,
        sound_dim=model.gru_dim,
        middle_first=model.middle_first,
        middle=model.middle,
        plan=model.temporal_plan,
        z_dim=model.z_dim,
        norm=model.norm,
        compose=model.g_output == "compose",
    )


def _phonicsgan_like(config: Config, num_classes: int, spec: LogMelSpec) -> PhonicsganLikeGenerator:
    model = config.model
    return PhonicsganLikeGenerator(
        size=config.data.size,
        num_frames=config.data.num_frames,
        num_classes=num_classes,
        num_bands=spec.num_bands,
        segment_hops=spec.segment_hops,
        width=model.width,
        code_dim=model.code_dim,
        audio_dim=model.audio_dim,
        gru_dim=model.gru_dim,
        z_dim=model.z_dim,
    )
