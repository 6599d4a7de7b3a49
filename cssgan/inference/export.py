"""A trained generator as a module: out of a run folder, or exported to a folder of its own and back.

An exported folder holds ``model.safetensors``, ``config.json`` (all that the inputs need) and ``README.md``, a model card.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cssgan import config as configs
from cssgan.config import Config
from cssgan.data import resident, windowing
from cssgan.errors import ArrayError, CheckpointError, RunError
from cssgan.inference.model_card import model_card
from cssgan.models import factory
from cssgan.models.interface import VideoGenerator
from cssgan.training import checkpoint
from cssgan.training.run_folder import configuration
from cssgan.types import MelStats, Progress
from phonics_data.contract.labels import LabelSet
from phonics_data.errors import InputError, PhonicsDataError

FORMAT = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
Which = Literal["last", "ema"]
log = logging.getLogger("cssgan")


class LoadedGenerator(nn.Module):
    """A trained generator in evaluation mode with all that its inputs need. Made by `load_generator`.

    As a module it maps (image_BCHW, mels_BTMU, label_B) to video_BCTHW on its own device, and gradients flow through
    it; `generate` does the same without gradients, in batches, with seeded noise.
    """

    network: VideoGenerator

    def __init__(
        self,
        network: VideoGenerator,
        *,
        config: Config,
        label_set: LabelSet,
        mel_stats: MelStats,
        frame_rate: Fraction,
        progress: Progress,
        which: Which,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.label_set = label_set
        self.mel_stats = mel_stats
        self.frame_rate = frame_rate
        """The commonest frame rate of the training set."""
        self.progress = progress
        self.which = which
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def digest(self) -> str:
        """A short name for the weights and all that they are used with."""
        total = hashlib.sha256(json.dumps([configs.to_json(self.config), asdict(self.mel_stats)]).encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            total.update(name.encode() + tensor.cpu().numpy().tobytes())
        return total.hexdigest()[:16]

    def standardize(self, raw_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel -> model input: (x - mean) / std of the training set, clamped."""
        return windowing.standardize(raw_mels, self.mel_stats)

    def forward(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_B: Tensor, noise_BZ: Tensor | None = None) -> Tensor:
        """Videos in time order, made as the model was trained to: each stream from the last frame before it.

        Args:
            image_BCHW: float32 in [-1, 1], C = 3, H = W = ``config.data.size``.
            mels_BTMU: standardized log-mel segments, one a frame; any T >= 1 (the end is padded with silence to whole
                streams and cropped again).
            label_B: int64 class indices in ``label_set``.
            noise_BZ: Z = ``config.model.z_dim``; default: zeros.

        Returns:
            video_BCTHW float32 in [-1, 1].
        """
        label_BK = torch.nn.functional.one_hot(label_B, len(self.label_set)).float()
        if noise_BZ is None:
            noise_BZ = image_BCHW.new_zeros(len(image_BCHW), self.config.model.z_dim)
        return self.network.rollout(image_BCHW, self._pad(mels_BTMU), label_BK, noise_BZ)[:, :, : mels_BTMU.shape[1]]

    @torch.inference_mode()
    def generate(
        self,
        image_BCHW: Tensor,
        mels_BTMU: Tensor,
        label_B: Tensor,
        *,
        seed: int | Sequence[int] = 0,
        max_batch: int = 32,
    ) -> Tensor:
        """`forward` from CPU tensors, in batches.

        Args:
            seed: of the noise, where the model has any (``model.z_dim``): one for all, or one for each video.
            max_batch: videos that go through the network at once.

        Returns:
            video_BCTHW float32 in [-1, 1] on the CPU.

        Raises:
            ArrayError: a tensor is of another shape, type or range, or there are not as many of each; names it.
        """
        self._check(image_BCHW, mels_BTMU, label_B)
        noise_BZ = self._noise(seed, len(label_B))
        videos = [
            self(*(part.to(self.device) for part in parts)).cpu()
            for parts in zip(
                *(whole.split(max_batch) for whole in (image_BCHW, mels_BTMU, label_B, noise_BZ)), strict=True
            )
        ]
        return torch.cat(videos)

    def _noise(self, seed: int | Sequence[int], num: int) -> Tensor:
        """noise_BZ of `num` videos. Raises `ArrayError`, see `generate`."""
        is_one = isinstance(seed, (int, np.integer))
        seeds = [int(one) for one in ([seed] if is_one else seed)]
        if not is_one and len(seeds) != num:
            raise ArrayError("seed", f"{len(seeds)} of them", f"one, or one for each of the {num} videos")
        if not all(0 <= one < 2**63 for one in seeds):
            raise ArrayError("seed", str(seed), "whole numbers from 0 to 2^63 - 1")
        rows, z_dim = num // len(seeds), self.config.model.z_dim
        return torch.cat([torch.randn(rows, z_dim, generator=torch.Generator().manual_seed(one)) for one in seeds])

    def _check(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_B: Tensor) -> None:
        size, spec = self.config.data.size, resident.MEL_SPEC
        for name, array in (("image_BCHW", image_BCHW), ("mels_BTMU", mels_BTMU), ("label_B", label_B)):
            if not isinstance(cast(object, array), Tensor):
                raise ArrayError(name, f"a {type(array).__name__}", "a tensor")
            if not array.ndim or not len(array):
                raise ArrayError(
                    name, f"shape {tuple(array.shape)}", f"an axis for each of {name.rpartition('_')[2]}, B from 1"
                )
        num, classes = len(image_BCHW), len(self.label_set)
        _check_array("image_BCHW", image_BCHW, torch.float32, (num, 3, size, size), "in [-1, 1]", most=1.001)
        num_frames = mels_BTMU.shape[1] if mels_BTMU.ndim == 4 else 0
        if num_frames < 1:
            raise ArrayError("mels_BTMU", f"shape {tuple(mels_BTMU.shape)}", "(B, T, bands, hops) with T from 1")
        shape = (num, num_frames, spec.num_bands, spec.segment_hops)
        most = 2 * self.mel_stats.clamp  # raw log-mels of silence lie outside; noise in place of sound does not
        _check_array("mels_BTMU", mels_BTMU, torch.float32, shape, "standardized (model.standardize)", most=most)
        _check_array("label_B", label_B, torch.int64, (num,), f"indices 0 to {classes - 1} of {self.label_set.name}")
        if not 0 <= int(label_B.min()) <= int(label_B.max()) < classes:
            got = f"{int(label_B.min())} to {int(label_B.max())}"
            raise ArrayError("label_B", got, f"0 to {classes - 1} (model.label_set.index)")

    def _pad(self, mels_BTMU: Tensor) -> Tensor:
        """Silence behind the end, up to whole streams."""
        missing = -mels_BTMU.shape[1] % self.config.frames_per_stream
        silence = float(self.standardize(np.full(1, resident.MEL_SPEC.silence, np.float32))[0])
        return torch.nn.functional.pad(mels_BTMU, (0, 0, 0, 0, 0, missing), value=silence)


def _check_array(
    name: str, array: Tensor, dtype: torch.dtype, shape: tuple[int, ...], words: str, *, most: float | None = None
) -> None:
    """Raises `ArrayError` for another type or shape, for NaN, or for values over `most` in size."""
    allowed = f"{dtype} {shape}, {words}"
    if array.dtype != dtype or tuple(array.shape) != shape:
        raise ArrayError(name, f"{array.dtype} {tuple(array.shape)}", allowed)
    if most is not None and array.numel():
        low, high = (float(value) for value in array.aminmax())
        if not -most <= low <= high <= most:  # false for NaN
            raise ArrayError(name, f"values from {low:g} to {high:g}", allowed)


def load_generator(run: Path, *, which: Which = "last", device: str | torch.device = "cpu") -> LoadedGenerator:
    """The generator of the newest whole checkpoint of `run`, or of an exported folder.

    Args:
        which: the weights as trained, or their running average (only runs with ``train.ema_half_life`` have one). An
            exported folder holds one of them.

    Raises:
        CheckpointError: no run, no whole checkpoint, or no averaged weights.
    """
    if (run / WEIGHTS).exists():
        return load_pretrained(run, device=device)
    try:
        config = configuration(run)
    except RunError as error:  # what was trained is of use without it
        log.warning("%s; going by its checkpoints", error)
        config = None
    state = checkpoint.load_newest(run, config=config)
    network = factory.generator(state.config, num_classes=len(state.label_set))
    network.load_state_dict(state.generator_weights(which))
    loaded = LoadedGenerator(
        network,
        config=state.config,
        label_set=state.label_set,
        mel_stats=state.mel_stats,
        frame_rate=state.frame_rate,
        progress=state.progress,
        which=which,
    )
    return loaded.to(device)


def load_pretrained(path: Path | str, *, device: str | torch.device = "cpu") -> LoadedGenerator:
    """The module that `export` wrote.

    ::

        import cssgan
        model = cssgan.load_pretrained("exported")
        video_BCTHW = model.generate(image_BCHW, mels_BTMU, label_B)

    Args:
        path: folder with ``model.safetensors`` and ``config.json``.

    Raises:
        CheckpointError: a file is missing, cut, changed, or of another program.
    """
    folder = Path(path)
    if (folder / "checkpoints").is_dir() and not (folder / WEIGHTS).exists():
        raise CheckpointError(
            f"{folder}: a run, and no export; write one with `cssgan export --run {folder} --out OUT`, or load it with "
            "cssgan.inference.export.load_generator"
        )
    try:
        record = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise CheckpointError(f"{folder}: export format {record['format']}, this program reads {FORMAT}")
        data = (folder / WEIGHTS).read_bytes()
        if hashlib.sha256(data).hexdigest() != record["sha256"]:
            raise CheckpointError(f"{folder / WEIGHTS}: cut, or changed since it was exported (checksum)")
        label_set = LabelSet(record["label_set"]["name"], tuple(record["label_set"]["names"]))
        config = configs.from_json(record["config"])
        network = factory.generator(config, num_classes=len(label_set))
        network.load_state_dict(safetensors.torch.load(data))
        loaded = LoadedGenerator(
            network,
            config=config,
            label_set=label_set,
            mel_stats=MelStats(**record["mel_stats"]),
            frame_rate=Fraction(record["frame_rate"]),
            progress=Progress(**record["progress"]),
            which=record["weights"],
        )
    except OSError as error:
        raise CheckpointError(
            f"{folder}: no exported model there ({error.strerror}: {error.filename}); write one with `cssgan export`"
        ) from error
    except CheckpointError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, PhonicsDataError) as error:
        raise CheckpointError(f"{folder}: not an export that this program reads ({error})") from error
    return loaded.to(device)


def export(run: Path, out: Path, *, which: Which = "last") -> Path:
    """Write the generator of the newest whole checkpoint of `run` as a folder for `load_pretrained`, whole or not at all.

    Args:
        out: must not exist, or be an export, which is replaced.

    Raises:
        CheckpointError: as `load_generator`.
        InputError: `out` is something else, or cannot be written.
    """
    loaded = load_generator(run, which=which)
    if out.exists() and not (out / WEIGHTS).exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise InputError(f"{out}: holds something that is no export; choose another --out")
    weights = {name: tensor.contiguous() for name, tensor in loaded.network.state_dict().items()}
    data = safetensors.torch.save(weights, metadata={"format": "pt"})
    record: dict[str, Any] = {
        "format": FORMAT,
        "sha256": hashlib.sha256(data).hexdigest(),
        "config": configs.to_json(loaded.config),
        "label_set": asdict(loaded.label_set),
        "mel_stats": asdict(loaded.mel_stats),
        "mel_spec": asdict(resident.MEL_SPEC),
        "frame_rate": str(loaded.frame_rate),
        "progress": asdict(loaded.progress),
        "weights": which,
        "made_with": {name: version(name) for name in ("phonics-cssgan", "torch", "safetensors")},
    }
    num_weights = sum(parameter.numel() for parameter in loaded.network.parameters())
    card = model_card(record, num_weights=num_weights, evaluation=_evaluation(run))
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
        checkpoint.write_synced(temporary / WEIGHTS, data)
        checkpoint.write_synced(temporary / CONFIG, json.dumps(record, indent=1, ensure_ascii=False).encode())
        checkpoint.write_synced(temporary / CARD, card.encode())
        shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _evaluation(run: Path) -> dict[str, Any] | None:
    """What `cssgan evaluate` measured of the run, if it did."""
    try:
        return json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
