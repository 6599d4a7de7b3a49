"""Weights that a new run starts from: of a model that comes with the package, of an export, or of another run.

* From an export the generator is taken, from a run also the discriminators.
* The mean and standard deviation of the log-mels are those of the initial weights, not those of the new data: the first layer
  of the generator was trained on values standardized with them. The clamp is `data.mel_clamp` of the new run.
* Optimizers, the running average and the position begin anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cssgan import config as configs
from cssgan.config import Config
from cssgan.errors import ConfigError, RunError
from cssgan.models import factory
from cssgan.pretrained.exported import is_export, read_export
from cssgan.pretrained.shipped import FOLDER, model_folder, shipped_models
from cssgan.storage.artifact import encode_weights
from cssgan.training import checkpoint
from cssgan.training.run_folder import read_init
from cssgan.types import MelStats
from phonics_data.contract.labels import LabelSet

Weights = dict[str, Tensor]
_SAME_SHAPES = ("model.kind", "model.g_output", "model.norm", "model.temporal_upsampling")
"""Fields that change what the generator computes, also where they leave the shapes of its weights as they are."""
_STREAM_LENGTH = ("data.num_frames", "model.num_clips", "model.streams")
"""Fields that set the number of frames of a stream, for which the decoder is built."""
_OF_THE_MACHINE = (
    "train.device",
    "train.threads",
    "train.tracker",
    "data.loader",
    "data.resident_gb",
    "data.workers",
    "compute.precision",
    "compute.channels_last",
    "compute.compile",
    "compute.cuda_graph",
    "compute.fused_adam",
)
"""Fields that `start_config` does not take from the initial weights."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class InitialWeights:
    """Weights to start from, on the CPU.

    Args:
        source: as `source_name` spells it.
        digest: SHA-256 over the weights.
        discriminators: None for an export.
        license: of the weights, as their export records it, or of the weights that they began from; None: not recorded.
    """

    source: str
    digest: str
    config: Config
    label_set: LabelSet
    mel_stats: MelStats
    generator: Weights
    discriminators: Weights | None
    license: str | None

    def record(self) -> dict[str, Any]:
        """What config.json of the new run says about the initial weights."""
        return {
            "source": self.source,
            "digest": self.digest,
            "networks": ["generator"] if self.discriminators is None else ["generator", "discriminators"],
            "mel_stats": asdict(self.mel_stats),
            "license": self.license,
            "config": configs.to_json(self.config),
        }

    def headline(self) -> str:
        """One line for the log."""
        networks = "generator" if self.discriminators is None else "generator and discriminators"
        return (
            f"starting from {self.source} ({networks}, {self.digest[:16]}), with its log-mel mean {self.mel_stats.mean:.3f} "
            f"and deviation {self.mel_stats.std:.3f}"
        )


def source_name(init: str | Path, record: Mapping[str, Any] | None = None) -> str:
    """The name of a model that comes with the package, or the absolute path of a folder, which may be gone.

    Args:
        record: what the run that resumes recorded about its initial weights. A name of a model that it recorded stays this
            name, although a folder of this name, such as the run itself, exists by now.
    """
    if record is not None and record.get("source") == str(init) and str(init) in shipped_models():
        return str(init)
    if not Path(init).exists() and str(init) in shipped_models():
        return str(init)
    return str(Path(init).resolve())


def read_initial_weights(init: str | Path, record: Mapping[str, Any] | None = None) -> InitialWeights:
    """Read the weights of `init`: the name of a model that comes with the package, an exported folder, or a run folder.

    Of a run, the weights of the last step in its newest complete checkpoint are read, because these are the weights that its
    discriminators were trained against. To start from its averaged weights, export them first.

    Args:
        record: as of `source_name`.

    Raises:
        CheckpointError: no such model, or a damaged one.
    """
    source = source_name(init, record)
    folder = FOLDER / source if source in shipped_models() else model_folder(init)
    if is_export(folder):
        content = read_export(folder)
        return InitialWeights(
            source=source,
            digest=content.sha256,
            config=content.config,
            label_set=content.label_set,
            mel_stats=content.mel_stats,
            generator=content.weights,
            discriminators=None,
            license=content.license,
        )
    found = checkpoint.load_newest(folder)
    generator, discriminators = found.generator_weights(), found.discriminator_weights()
    return InitialWeights(
        source=source,
        digest=hashlib.sha256(encode_weights(generator) + encode_weights(discriminators)).hexdigest(),
        config=found.config,
        label_set=found.label_set,
        mel_stats=found.mel_stats,
        generator=generator,
        discriminators=discriminators,
        license=(read_init(folder) or {}).get("license"),
    )


def start_config(init: str | Path, record: Mapping[str, Any] | None) -> Config:
    """The configuration of the initial weights, without the fields that belong to the machine it was trained on.

    Args:
        record: `InitialWeights.record` of a run that started from `init`, which is then not read again; None: a new run.

    Raises:
        CheckpointError: as `read_initial_weights`.
    """
    if record is not None and record.get("source") == source_name(init, record) and "config" in record:
        config = configs.from_json(record["config"])
    else:
        config = read_initial_weights(init, record).config
    defaults = {option.name: option.value for option in configs.options(Config())}
    return configs.replace(config, {name: defaults[name] for name in _OF_THE_MACHINE})


def check(initial: InitialWeights, config: Config, label_set: LabelSet) -> None:
    """Raise `RunError` unless a run with `config` on data of `label_set` can start from the weights."""
    name = initial.source
    if initial.label_set != label_set:
        raise RunError(
            f"--init {name}: was trained on label set {initial.label_set.name} ({len(initial.label_set)} classes), the dataset "
            f"has {label_set.name} ({len(label_set)}); the label sets must be equal, so train without --init"
        )
    num_classes = len(label_set)
    changed = configs.differences(initial.config, config)
    by_field = {line.partition(":")[0]: line for line in changed}
    fields = {field for field in _SAME_SHAPES if field in by_field}
    if initial.config.frames_per_stream != config.frames_per_stream:
        fields |= {field for field in _STREAM_LENGTH if field in by_field}
    fields |= _refused(name, factory.generator, initial.generator, initial.config, config, num_classes)
    advice = f"leave these fields and --preset out to take them from {name}, or train without --init"
    if initial.discriminators is not None and not fields:
        fields = _refused(name, factory.discriminators, initial.discriminators, initial.config, config, num_classes)
        advice += "; an export of it (cssgan export) has no discriminators, and any can be trained with it"
    if fields:
        lines = "; ".join(line for field, line in by_field.items() if field in fields)
        raise RunError(f"--init {name}: has weights for another configuration; it differs in {lines}; {advice}")


def _refused(
    source: str, build: Callable[..., nn.Module], weights: Weights, old: Config, new: Config, num_classes: int
) -> set[str]:
    """The fields because of which `weights` do not fit into the network of `new`; empty if they fit.

    Raises:
        RunError: they do not fit, and no field is the cause.
    """
    have, expected = {name: tuple(tensor.shape) for name, tensor in weights.items()}, _shapes(build, new, num_classes)
    if have == expected:
        return set()
    values = {option.name: option.value for option in configs.options(new)}
    changed = [line.partition(":")[0] for line in configs.differences(old, new)]
    alone: set[str] = set()
    for field in changed:
        try:
            changes_shapes = _shapes(build, configs.replace(old, {field: values[field]}), num_classes) != have
        except (ConfigError, ValueError, ZeroDivisionError):  # not possible without other changes
            continue
        if changes_shapes:
            alone.add(field)
    if fields := alone or {field for field in changed if field.startswith(("model.", "discriminator.", "data."))}:
        return fields
    name = min(name for name in have.keys() | expected if have.get(name) != expected.get(name))
    got, allowed = (str(shapes[name]) if name in shapes else "no such tensor" for shapes in (have, expected))
    raise RunError(
        f"--init {source}: its weights are not those of its configuration; tensor {name}: got {got}, allowed: {allowed}; "
        "take other weights, or train without --init"
    )


def _shapes(build: Callable[..., nn.Module], config: Config, num_classes: int) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        network = build(config, num_classes=num_classes)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
