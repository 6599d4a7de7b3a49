"""Plain implementation of the paper's training step: the independent reference that the trainer's step is tested against.

It uses torch's own layers in the order of the paper, eagerly and in float32: every stream encodes its audio, inputs are
concatenated, real and generated clips pass through the discriminators separately, and spectral norm iterates at every
forward pass. With the same weights it computes the same step as `cssgan.training.step` (tests/benchmarks/test_step.py).

It supports the options in which the presets paper, lean, tiny, small and smoke differ; `unsupported` lists the others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from cssgan import clip_permutations
from cssgan.config import Config
from cssgan.data.batches import cut_clips
from cssgan.models.decoder import frames_after_blocks
from cssgan.models.encoders import level_widths
from cssgan.training import losses
from cssgan.types import Batch, ClipBatch
from phonics_data.contract.logmel import LogMelSpec

LEAK = 0.2
_SUPPORTED: dict[str, object] = {
    "model.kind": "cssgan",
    "optim.weight_decay": 0.0,
    "model.cascade": True,
    "model.cascade_order": "stream",
    "model.cascade_detach": False,
    "model.start_image": "video_first",
    "model.norm": "batch",
    "model.z_dim": 0,
    "model.audio_encoder": "linear",
    "model.audio_context": "clip",
    "model.shuffled_starts": "cascade",
    "model.object_condition": False,
    "model.word_dim": 0,
    "order.shuffle": "gen",
    "discriminator.video_d": "clips",
    "discriminator.order_head": "concat",
    "discriminator.d_audio": False,
    "discriminator.seam_clips": False,
    "discriminator.spectral": True,
    "discriminator.augment": "none",
    "loss.vote_loss": "per_clip",
    "loss.gan": "bce",
    "loss.r1_gamma": 0.0,
    "loss.r2_gamma": 0.0,
    "loss.l2_weight": 0.0,
    "loss.change_weight": 0.0,
    "loss.mismatch_weight": 0.0,
}


def unsupported(config: Config) -> list[str]:
    """The fields of `config`, as ``field=value``, that the reference does not support."""
    out: list[str] = []
    for name, value in _SUPPORTED.items():
        section, _, field = name.partition(".")
        if (got := getattr(getattr(config, section), field)) != value:
            out.append(f"{name}={got}")
    if config.model.audio_inject == "film":
        out.append("model.audio_inject=film")
    if config.model.g_output not in ("direct", "compose"):
        out.append(f"model.g_output={config.model.g_output}")
    if config.model.streams != config.model.num_clips:
        out.append(f"model.streams={config.model.streams}")
    return out


class ReferenceBlock(nn.Module):
    """ConvTranspose3d (k,1,1), norm, LeakyReLU, ConvTranspose3d (1,4,4), norm, LeakyReLU."""

    def __init__(self, inputs: int, middle: int, out: int, *, frames: tuple[int, int], first: bool, last: bool) -> None:
        super().__init__()
        if first or frames == (1, 1):
            kernel, stride, padding = frames[1], 1, 0
        else:
            kernel, stride, padding = (4, 2, 1) if frames[1] == 2 * frames[0] else (3, 1, 1)
        self.temporal = nn.ConvTranspose3d(inputs, middle, (kernel, 1, 1), (stride, 1, 1), (padding, 0, 0))
        self.temporal_norm = nn.BatchNorm3d(middle)
        stride, padding = (1, 0) if first else (2, 1)
        self.spatial = nn.ConvTranspose3d(middle, out, (1, 4, 4), (1, stride, stride), (0, padding, padding))
        self.spatial_norm = None if last else nn.BatchNorm3d(out)

    def forward(self, x_BETHW: Tensor) -> Tensor:
        x = self.spatial(functional.leaky_relu(self.temporal_norm(self.temporal(x_BETHW)), LEAK))
        return x if self.spatial_norm is None else functional.leaky_relu(self.spatial_norm(x), LEAK)


class ReferenceGenerator(nn.Module):
    def __init__(self, config: Config, *, num_classes: int) -> None:
        super().__init__()
        model, spec = config.model, LogMelSpec()
        widths = level_widths(config.data.size, model.width)
        self.compose, self.inject_every = model.g_output == "compose", model.audio_inject == "every"
        self.image_convs = nn.ModuleList(
            nn.Conv2d(i, o, 4, 2, 1) for i, o in zip([3, *widths[:-1]], widths, strict=True)
        )
        self.image_norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        self.image_code = nn.Conv2d(widths[-1], model.code_dim, 4)
        self.segment = nn.Linear(spec.num_bands * spec.segment_hops, model.audio_dim)
        self.gru = nn.GRU(model.audio_dim, model.gru_dim, batch_first=True)
        self.inject = nn.Linear(model.gru_dim, model.inject_dim) if self.inject_every else None
        self.frames = frames_after_blocks(config.frames_per_stream, len(widths), model.temporal_upsampling)
        self.blocks = nn.ModuleList()
        channels, before = model.gru_dim + model.code_dim + num_classes, 1
        outs = [*reversed(widths), 4 if self.compose else 3]
        for index, (out, frames) in enumerate(zip(outs, self.frames, strict=True)):
            first, last = index == 0, index == len(widths)
            if not first:
                channels = 2 * outs[index - 1] + num_classes + (model.inject_dim if self.inject_every else 0)
            middle = (model.middle_first if first else model.middle) * (3 if last else out)
            self.blocks.append(ReferenceBlock(channels, middle, out, frames=(before, frames), first=first, last=last))
            before = frames

    def forward(self, image_BCHW: Tensor, mels_BSFMU: Tensor, label_BK: Tensor) -> Tensor:
        """clips_BSCFHW; each stream starts from the last frame of the stream before it."""
        clips: list[Tensor] = []
        start = image_BCHW
        for mels_BFMU in mels_BSFMU.unbind(1):
            clips.append(self._stream(start, mels_BFMU, label_BK))
            start = clips[-1][:, :, -1]
        return torch.stack(clips, dim=1)

    def _stream(self, start_BCHW: Tensor, mels_BFMU: Tensor, label_BK: Tensor) -> Tensor:
        states_BFD, _ = self.gru(functional.leaky_relu(self.segment(mels_BFMU.flatten(2)), LEAK))
        skips: list[Tensor] = []
        x = start_BCHW
        for conv, norm in zip(self.image_convs, self.image_norms, strict=True):
            x = functional.leaky_relu(norm(conv(x)), LEAK)
            skips.append(x)
        code = self.image_code(x)[:, :, 0, 0]
        y = torch.cat((states_BFD[:, -1], label_BK, code), dim=1)[:, :, None, None, None]
        for index, block in enumerate(self.blocks):
            if index:
                y = torch.cat((y, *self._conditions(y, skips[-index], label_BK, states_BFD)), dim=1)
            y = block(y)
        clip = torch.tanh(y[:, :3])
        if not self.compose:
            return clip
        mask = torch.sigmoid(y[:, 3:] - 1.0)
        return mask * clip + (1.0 - mask) * start_BCHW[:, :, None]

    def _conditions(self, y_BETHW: Tensor, skip_BEHW: Tensor, label_BK: Tensor, states_BFD: Tensor) -> list[Tensor]:
        """Inputs of a block besides its features: the skip repeated over time, class and audio repeated over space."""
        _, _, frames, height, width = y_BETHW.shape
        parts = [
            skip_BEHW[:, :, None].expand(-1, -1, frames, -1, -1),
            label_BK[:, :, None, None, None].expand(-1, -1, frames, height, width),
        ]
        if self.inject is not None:
            audio_BAT = functional.adaptive_avg_pool1d(self.inject(states_BFD).transpose(1, 2), frames)
            parts.append(audio_BAT[..., None, None].expand(-1, -1, -1, height, width))
        return parts


class ReferenceDiscriminators(nn.Module):
    def __init__(self, config: Config, *, num_classes: int) -> None:
        super().__init__()
        widths = level_widths(config.data.size, config.discriminator.width)
        self.num_clips = config.model.num_clips
        class_dim = num_classes if config.discriminator.d_class else 0
        self.conditional = class_dim > 0
        pairs = list(zip([3, *widths[:-1]], widths, strict=True))
        self.image_convs = nn.ModuleList(spectral_norm(nn.Conv2d(i, o, 4, 2, 1)) for i, o in pairs)
        self.image_out = spectral_norm(nn.Conv2d(widths[-1], 1, 4))
        halvings = config.frames_per_clip.bit_length() - 1
        self.trunk = nn.ModuleList()
        for level, (i, o) in enumerate(pairs):
            shape = ((4, 4, 4), (2, 2, 2), (1, 1, 1)) if level < halvings else ((1, 4, 4), (1, 2, 2), (0, 1, 1))
            self.trunk.append(spectral_norm(nn.Conv3d(i + (class_dim if level == 1 else 0), o, *shape)))
        frames_out = config.frames_per_clip >> min(halvings, len(widths))
        self.clip_out = spectral_norm(nn.Conv3d(widths[-1], 1, (frames_out, 4, 4)))
        channels = widths[-1] * frames_out
        features = max(channels // 2, 4)
        self.squeeze = spectral_norm(nn.Conv2d(channels, features, 4))
        self.join = spectral_norm(nn.Linear(features * self.num_clips, channels))
        self.order_out = spectral_norm(nn.Linear(channels, config.num_orders))

    def image_logits(self, clips_BSCFHW: Tensor, frame_index_BS: Tensor) -> Tensor:
        batch, clips = clips_BSCFHW.shape[:2]
        rows, columns = torch.arange(batch)[:, None], torch.arange(clips)
        x = clips_BSCFHW.transpose(2, 3)[rows, columns, frame_index_BS].flatten(0, 1)
        for conv in self.image_convs:
            x = functional.leaky_relu(conv(x), LEAK)
        return self.image_out(x).view(batch, clips)

    def clip_and_order_logits(self, clips_BSCFHW: Tensor, label_BK: Tensor) -> tuple[Tensor, Tensor]:
        """Clip logits_BS and order logits_BP."""
        batch, clips = clips_BSCFHW.shape[:2]
        x = clips_BSCFHW.flatten(0, 1)
        for level, conv in enumerate(self.trunk):
            if level == 1 and self.conditional:
                label = label_BK.repeat_interleave(clips, dim=0)[:, :, None, None, None]
                x = torch.cat((x, label.expand(-1, -1, *x.shape[2:])), dim=1)
            x = functional.leaky_relu(conv(x), LEAK)
        features = functional.leaky_relu(self.squeeze(x.flatten(1, 2)), LEAK).view(batch, -1)
        logits_BP = self.order_out(functional.leaky_relu(self.join(features), LEAK))
        return self.clip_out(x).view(batch, clips), logits_BP


class Reference:
    """Networks, optimizers and training step of the reference."""

    def __init__(self, config: Config, *, num_classes: int, device: torch.device) -> None:
        if other := unsupported(config):
            raise ValueError(f"the reference step does not support {', '.join(other)}")
        self.config = config
        self.generator = ReferenceGenerator(config, num_classes=num_classes).to(device)
        self.discriminators = ReferenceDiscriminators(config, num_classes=num_classes).to(device)
        betas = (config.optim.beta1, config.optim.beta2)
        self.g_optim = torch.optim.Adam(self.generator.parameters(), lr=config.optim.g_lr, betas=betas)
        self.d_optim = torch.optim.Adam(self.discriminators.parameters(), lr=config.optim.d_lr, betas=betas)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Generator step, then discriminator step on the same fakes; the loss terms, detached."""
        real = cut_clips(
            batch, self.config.model.num_clips, clip_permutations.clip_at(batch.order_B, self.config.model.num_clips)
        )
        fake, terms = self._generator_step(batch, real)
        return terms | self._discriminator_step(batch, real, fake)

    def _generator_step(self, batch: Batch, real: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        weights = self.config.loss
        self.discriminators.requires_grad_(False)
        fake = self.generator(batch.video_BCTHW[:, :, 0], real.mels_BSFMU, batch.label_BK)
        clip_BS, logits_BP = self.discriminators.clip_and_order_logits(fake, batch.label_BK)
        terms = {
            "g_l1": losses.l1_loss(fake, real.clips_BSCFHW, real.valid_BSF),
            "g_image": losses.generator_loss(self.discriminators.image_logits(fake, batch.frame_index_BS)),
            "g_video": losses.generator_loss(clip_BS),
            "g_order": losses.order_loss(logits_BP, real.order_B, batch.order_mask_B),
        }
        loss = weights.l1_weight * terms["g_l1"] + weights.image_weight * terms["g_image"]
        loss = loss + weights.video_weight * terms["g_video"] + weights.order_weight * terms["g_order"]
        self.g_optim.zero_grad()
        loss.backward()
        self.g_optim.step()
        self.discriminators.requires_grad_(True)
        return fake.detach(), {name: value.detach() for name, value in terms.items()}

    def _discriminator_step(self, batch: Batch, real: ClipBatch, fake_BSCFHW: Tensor) -> dict[str, Tensor]:
        real_clip_BS, logits_BP = self.discriminators.clip_and_order_logits(real.clips_BSCFHW, batch.label_BK)
        fake_clip_BS, _ = self.discriminators.clip_and_order_logits(fake_BSCFHW, batch.label_BK)
        terms = {
            "d_image": losses.discriminator_loss(
                self.discriminators.image_logits(real.clips_BSCFHW, batch.frame_index_BS),
                self.discriminators.image_logits(fake_BSCFHW, batch.frame_index_BS),
            ),
            "d_video": losses.discriminator_loss(real_clip_BS, fake_clip_BS),
            "d_order": losses.order_loss(logits_BP, real.order_B, batch.order_mask_B),
        }
        loss = terms["d_image"] + terms["d_video"] + self.config.loss.order_weight_d * terms["d_order"]
        self.d_optim.zero_grad()
        loss.backward()
        self.d_optim.step()
        return {name: value.detach() for name, value in terms.items()}
