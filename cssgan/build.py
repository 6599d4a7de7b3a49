"""Config -> objects: the one place where a name of the configuration becomes a class."""

from __future__ import annotations

from cssgan.config import Config
from cssgan.models.discriminators import Discriminators
from cssgan.models.generator import CascadedGenerator
from cssgan.models.interface import VideoGenerator
from phonics_data.contract.logmel import LogMelSpec


def generator(config: Config, *, num_classes: int, mel_spec: LogMelSpec | None = None) -> VideoGenerator:
    """The generator that `config` describes, freshly initialised from torch's global generator of randomness."""
    model, spec = config.model, mel_spec or LogMelSpec()
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


def discriminators(config: Config, *, num_classes: int, mel_spec: LogMelSpec | None = None) -> Discriminators:
    """All that judges: image, clip or video discriminator, and the order predictor where clips are shuffled."""
    judges, spec = config.discriminator, mel_spec or LogMelSpec()
    return Discriminators(
        size=config.data.size,
        width=judges.width,
        num_clips=config.model.num_clips,
        frames_per_clip=config.frames_per_clip,
        class_dim=num_classes if judges.d_class else 0,
        judge_clips=judges.video_d != "whole",
        judge_whole=judges.video_d != "clips",
        predict_order=config.order.shuffle != "none",
        pairwise=judges.order_head == "pairwise",
        segment_dim=spec.num_bands * spec.segment_hops if judges.d_audio else 0,
        num_orders=config.num_orders,
        spectral=judges.spectral,
    )
