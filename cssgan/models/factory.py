"""Config -> networks: the only place where `model.kind` is mapped to classes."""

from __future__ import annotations

from cssgan.config import Config
from cssgan.models.baselines import g3an, imaginator, mocogan, phonicsgan
from cssgan.models.discriminators import CascadedDiscriminators
from cssgan.models.generator import CascadedGenerator
from cssgan.models.interface import Discriminators, VideoGenerator
from phonics_data.contract.logmel import LogMelSpec

_GENERATORS = {
    "cssgan": CascadedGenerator,
    "mocogan": mocogan.MocoganGenerator,
    "g3an": g3an.G3anGenerator,
    "imaginator": imaginator.ImaginatorGenerator,
    "phonicsgan_like": phonicsgan.PhonicsganLikeGenerator,
}
_WINDOW_DISCRIMINATORS = {
    "mocogan": mocogan.discriminators,
    "g3an": g3an.discriminators,
    "imaginator": imaginator.discriminators,
    "phonicsgan_like": imaginator.discriminators,
}


def generator(config: Config, *, num_classes: int, mel_spec: LogMelSpec | None = None) -> VideoGenerator:
    """A new generator for `config`, initialized with torch's global random state."""
    return _GENERATORS[config.model.kind].from_config(
        config, num_classes=num_classes, mel_spec=mel_spec or LogMelSpec()
    )


def discriminators(config: Config, *, num_classes: int, mel_spec: LogMelSpec | None = None) -> Discriminators:
    """New discriminators for `config`: image, clip or video discriminator, and order predictor if clips are shuffled."""
    if config.model.kind == "cssgan":
        return CascadedDiscriminators.from_config(config, num_classes=num_classes, mel_spec=mel_spec or LogMelSpec())
    return _WINDOW_DISCRIMINATORS[config.model.kind](config, num_classes=num_classes)
