"""Load a trained generator from a run folder, export it, and load an export.

An exported folder contains ``model.safetensors``, ``config.json`` (everything the inputs depend on) and ``README.md``, a
model card.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cssgan import config as configs
from cssgan.config import Config, object_size
from cssgan.data import object_pictures, resident, windowing
from cssgan.errors import ArrayError, CheckpointError, RunError
from cssgan.inference.model_card import license_of, model_card
from cssgan.models import factory
from cssgan.models.interface import VideoGenerator, WindowInputs
from cssgan.pretrained import exported
from cssgan.pretrained.exported import (
    CONFIG_FILE,
    FORMAT_VERSION,
    MODEL_CARD_FILE,
    WEIGHTS_FILE,
    ExportedModel,
    StoredAs,
    WeightsKind,
    is_export,
)
from cssgan.pretrained.shipped import model_folder
from cssgan.storage.artifact import encode_weights
from cssgan.storage.files import replace_folder
from cssgan.training import checkpoint
from cssgan.training.run_folder import read_config, read_init
from cssgan.types import MelStats, Progress
from phonics_data.contract.files import temporary_folder, write_bytes
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.logmel import mel_segments
from phonics_data.contract.untrusted import read_json_object
from phonics_data.errors import InputError

NO_OBJECT = "this model was trained without model.object_condition and takes no object picture"
NO_WORD = "this model was trained with model.word_dim=0 and takes no object word"
log = logging.getLogger("cssgan")


class LoadedGenerator(nn.Module):
    """A trained generator in evaluation mode, with label set, mel statistics and frame rate. Made by `load_generator`.

    `forward` maps (image_BCHW, mels_BTMU, label_B) to video_BCTHW on the module's device and is differentiable.
    `generate` does the same without gradients, in batches, with seeded noise.

    Both get one mel segment for each frame of the video and return so many frames, whatever `data.frame_stride` is: with
    stride k the network gets every k-th segment, and each of its frames is held for k frames
    (`VideoGenerator.rollout_held`).
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
        which: WeightsKind,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.label_set = label_set
        self.mel_stats = mel_stats
        self.frame_rate = frame_rate
        """The most common frame rate of the training set."""
        self.progress = progress
        self.which: WeightsKind = which
        self.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def silence(self) -> float:
        """The standardized mel value of silence."""
        return float(self.standardize(np.full(1, resident.MEL_SPEC.silence, np.float32))[0])

    def digest(self) -> str:
        """16 hex digits of a SHA-256 over weights, configuration and mel statistics."""
        sha256 = hashlib.sha256(json.dumps([configs.to_json(self.config), asdict(self.mel_stats)]).encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            sha256.update(name.encode() + tensor.cpu().numpy().tobytes())
        return sha256.hexdigest()[:16]

    def standardize(self, raw_mels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log-mel -> model input: (x - mean) / std with the statistics of the training set, clamped."""
        return windowing.standardize(raw_mels, self.mel_stats)

    def audio_to_mels(
        self, audio_N: NDArray[np.float32], audio_rate_hz: int, num_frames: int, frame_rate: Fraction
    ) -> NDArray[np.float32]:
        """Standardized mel segments (num_frames, bands, hops) of mono audio in [-1, 1]; after its end, silence."""
        raw_mel_HM = windowing.raw_mel(audio_N, audio_rate_hz, resident.MEL_SPEC)
        return self.standardize(mel_segments(raw_mel_HM, num_frames, frame_rate))

    def forward(
        self,
        image_BCHW: Tensor,
        mels_BTMU: Tensor,
        label_B: Tensor,
        noise_BZ: Tensor | None = None,
        object_BCHW: Tensor | None = None,
        word_BE: Tensor | None = None,
    ) -> Tensor:
        """Generate videos in time order; each stream starts from the last frame of the stream before it.

        Args:
            image_BCHW: float32 in [-1, 1], C = 3, H = W = ``config.data.size``.
            mels_BTMU: standardized log-mel segments, one per frame; any T >= 1. T is padded with silence to a multiple
                of the frames that a stream spans, and the video is cropped to T frames.
            label_B: int64 class indices in ``label_set``.
            noise_BZ: Z = ``config.model.z_dim``; default: zeros.
            object_BCHW: object pictures, with ``config.model.object_condition``: float32, C = 4, RGB in [-1, 1] and alpha in
                [0, 1], H = W = half of ``config.data.size``; all zeros for none. Default: no objects.
            word_BE: embeddings of the object words (`cssgan.data.word_embedding`), E = ``config.model.word_dim``; default: no
                words.

        Returns:
            video_BCTHW float32 in [-1, 1].
        """
        label_BK = torch.nn.functional.one_hot(label_B, len(self.label_set)).float()
        if noise_BZ is None:
            noise_BZ = image_BCHW.new_zeros(len(image_BCHW), self.config.model.z_dim)
        video_BCTHW = self.network.rollout_held(
            image_BCHW,
            self._pad(mels_BTMU),
            label_BK,
            noise_BZ,
            stride=self.config.data.frame_stride,
            window=WindowInputs(object_BCHW=object_BCHW, word_BE=word_BE),
        )
        return video_BCTHW[:, :, : mels_BTMU.shape[1]]

    @torch.inference_mode()
    def generate(
        self,
        image_BCHW: Tensor,
        mels_BTMU: Tensor,
        label_B: Tensor,
        *,
        object_BCHW: Tensor | None = None,
        word_BE: Tensor | None = None,
        seed: int | Sequence[int] = 0,
        max_batch: int = 32,
    ) -> Tensor:
        """`forward` on CPU tensors, in batches.

        Args:
            seed: seed of the noise (``model.z_dim``): one for all videos, or one per video.
            max_batch: maximum batch size of the network.

        Returns:
            video_BCTHW float32 in [-1, 1] on the CPU.

        Raises:
            ArrayError: a tensor has a wrong shape, dtype or range, the batch sizes differ, or the model has no input for an
                object or word.
        """
        self._check_inputs(image_BCHW, mels_BTMU, label_B)
        self._check_object(object_BCHW, word_BE, len(label_B))
        wholes = (image_BCHW, mels_BTMU, label_B, self._noise(seed, len(label_B)), object_BCHW, word_BE)

        def part(whole: Tensor | None, first: int) -> Tensor | None:
            return None if whole is None else whole[first : first + max_batch].to(self.device)

        videos = [self(*(part(whole, first) for whole in wholes)).cpu() for first in range(0, len(label_B), max_batch)]
        return torch.cat(videos)

    def _noise(self, seed: int | Sequence[int], num_videos: int) -> Tensor:
        """noise_BZ for `generate`."""
        is_single = isinstance(seed, (int, np.integer))
        seeds = [int(value) for value in ([seed] if is_single else seed)]
        if not is_single and len(seeds) != num_videos:
            raise ArrayError("seed", f"{len(seeds)} seeds", f"one seed, or one for each of the {num_videos} videos")
        if not all(0 <= value < 2**63 for value in seeds):
            raise ArrayError("seed", str(seed), "integers from 0 to 2^63 - 1")
        rows, z_dim = num_videos // len(seeds), self.config.model.z_dim
        return torch.cat([torch.randn(rows, z_dim, generator=torch.Generator().manual_seed(value)) for value in seeds])

    def _check_inputs(self, image_BCHW: Tensor, mels_BTMU: Tensor, label_B: Tensor) -> None:
        size, spec = self.config.data.size, resident.MEL_SPEC
        for name, array in (("image_BCHW", image_BCHW), ("mels_BTMU", mels_BTMU), ("label_B", label_B)):
            if not isinstance(cast(object, array), Tensor):
                raise ArrayError(name, f"a {type(array).__name__}", "a tensor")
            if not array.ndim or not len(array):
                axes = name.rpartition("_")[2]
                raise ArrayError(name, f"shape {tuple(array.shape)}", f"axes {axes} with B >= 1")
        num, classes = len(image_BCHW), len(self.label_set)
        _check_array("image_BCHW", image_BCHW, torch.float32, (num, 3, size, size), "in [-1, 1]", max_abs=1.001)
        num_frames = mels_BTMU.shape[1] if mels_BTMU.ndim == 4 else 0
        if num_frames < 1:
            raise ArrayError("mels_BTMU", f"shape {tuple(mels_BTMU.shape)}", "(B, T, bands, hops) with T >= 1")
        shape = (num, num_frames, spec.num_bands, spec.segment_hops)
        max_abs = 2 * self.mel_stats.clamp  # log-mels of silence exceed this if not standardized
        _check_array("mels_BTMU", mels_BTMU, torch.float32, shape, "standardized (model.standardize)", max_abs=max_abs)
        _check_array("label_B", label_B, torch.int64, (num,), f"indices 0 to {classes - 1} of {self.label_set.name}")
        if not 0 <= int(label_B.min()) <= int(label_B.max()) < classes:
            got = f"{int(label_B.min())} to {int(label_B.max())}"
            raise ArrayError("label_B", got, f"0 to {classes - 1} (model.label_set.index)")

    def object_inputs(
        self, pictures: Sequence[NDArray[np.uint8] | None], words: Sequence[str]
    ) -> tuple[Tensor | None, Tensor | None]:
        """object_BCHW and word_BE for `generate`, from RGBA pictures of any size and words; None and "": none.

        Raises:
            InputError: a picture or word for a model that takes none.
        """
        model = self.config.model
        for wanted, can, reason, option in (
            (
                any(picture is not None for picture in pictures),
                model.object_condition,
                NO_OBJECT,
                "object_condition=true",
            ),
            (any(words), model.word_dim > 0, NO_WORD, "word_dim=64"),
        ):
            if wanted and not can:
                raise InputError(f"{reason}; leave it out, or train with --set model.{option}")
        fitted = np.stack([object_pictures.fit(one, object_size(self.config.data.size)) for one in pictures])
        return object_pictures.model_inputs(self.config, fitted, words, torch.device("cpu"))

    def _check_object(self, object_BCHW: Tensor | None, word_BE: Tensor | None, num: int) -> None:
        model, size = self.config.model, object_size(self.config.data.size)
        if object_BCHW is not None:
            if not model.object_condition:
                raise ArrayError("object_BCHW", "a tensor", f"None: {NO_OBJECT}")
            shape, description = (num, 4, size, size), "RGB in [-1, 1] and alpha in [0, 1]"
            _check_array("object_BCHW", object_BCHW, torch.float32, shape, description, max_abs=1.001)
            if float(object_BCHW[:, 3].min()) < 0.0:
                raise ArrayError("object_BCHW", f"alpha from {float(object_BCHW[:, 3].min()):g}", "alpha in [0, 1]")
        if word_BE is not None:
            if not model.word_dim:
                raise ArrayError("word_BE", "a tensor", f"None: {NO_WORD}")
            _check_array("word_BE", word_BE, torch.float32, (num, model.word_dim), "unit length or zero", max_abs=1.001)

    def _pad(self, mels_BTMU: Tensor) -> Tensor:
        """Append silence up to a multiple of the frames that a stream spans."""
        missing = -mels_BTMU.shape[1] % self.config.source_frames_per_stream
        return torch.nn.functional.pad(mels_BTMU, (0, 0, 0, 0, 0, missing), value=self.silence)


def _check_array(
    name: str,
    array: Tensor,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    description: str,
    *,
    max_abs: float | None = None,
) -> None:
    """Raise `ArrayError` for a wrong dtype or shape, for NaN, or for values outside [-max_abs, max_abs]."""
    allowed = f"{dtype} {shape}, {description}"
    if array.dtype != dtype or tuple(array.shape) != shape:
        raise ArrayError(name, f"{array.dtype} {tuple(array.shape)}", allowed)
    if max_abs is not None and array.numel():
        low, high = (float(value) for value in array.aminmax())
        if not -max_abs <= low <= high <= max_abs:  # false for NaN
            raise ArrayError(name, f"values from {low:g} to {high:g}", allowed)


def load_generator(
    run: Path | str, *, which: WeightsKind = "last", device: str | torch.device = "cpu"
) -> LoadedGenerator:
    """Load the generator from the newest complete checkpoint of a run, from an exported folder, or a shipped one by name.

    Args:
        run: run folder, exported folder, name of a model that comes with the package, such as ``rendered-64``, or a model of
            the Hub, ``hf://user/name``. A folder takes precedence over a name.
        which: ``last``: weights of the last step; ``ema``: their running average (runs with ``train.ema_half_life``).
            Ignored for an exported model, which contains one kind.

    Raises:
        CheckpointError: no run, no complete checkpoint, no averaged weights, or an unknown name.
    """
    run = model_folder(run)
    if is_export(run):
        return load_pretrained(run, device=device)
    try:
        config = read_config(run)
    except RunError as error:  # the checkpoint contains the configuration as well
        log.warning("%s; using the configuration in the checkpoint", error)
        config = None
    state = checkpoint.load_newest(run, config=config)
    return _with_weights(state, state.generator_weights(which), which).to(device)


def load_pretrained(path: Path | str, *, device: str | torch.device = "cpu") -> LoadedGenerator:
    """Load a model that comes with the package, or one that `export` wrote.

        import cssgan
        model = cssgan.load_pretrained("rendered-64")
        video_BCTHW = model.generate(image_BCHW, mels_BTMU, label_B)

    Args:
        path: folder with ``model.safetensors`` and ``config.json``, the name of a model that comes with the package, or a
            model of the Hub, ``hf://user/name``. A folder takes precedence over a name.

    Raises:
        CheckpointError: a file is missing, damaged, or of another format version, or the name is unknown.
    """
    folder = model_folder(path)
    if (folder / "checkpoints").is_dir() and not is_export(folder):
        raise CheckpointError(
            f"{folder}: is a run, not an export; run `cssgan export --run {folder} --out OUT`, or use cssgan.load_generator"
        )
    content = exported.read_export(folder)
    try:
        loaded = _with_weights(content, content.weights, content.which)
    except (ValueError, RuntimeError) as error:
        raise exported.invalid(folder, error) from error
    return loaded.to(device)


def _with_weights(
    found: checkpoint.Checkpoint | ExportedModel, weights: Mapping[str, Tensor], which: WeightsKind
) -> LoadedGenerator:
    """The generator that a checkpoint or an export describes. Raises RuntimeError for weights of another shape."""
    network = factory.generator(found.config, num_classes=len(found.label_set))
    network.load_state_dict(weights)
    return LoadedGenerator(
        network, config=found.config, label_set=found.label_set, mel_stats=found.mel_stats, frame_rate=found.frame_rate,
        progress=found.progress, which=which,
    )  # fmt: skip


def export(
    run: Path,
    out: Path,
    *,
    which: WeightsKind = "last",
    stored_as: StoredAs = "float32",
    about: Path | None = None,
    evaluation: Path | None = None,
) -> Path:
    """Export the generator of the newest complete checkpoint of `run` for `load_pretrained`. The write is atomic.

    Args:
        out: a new or empty folder, or an earlier export, which is replaced.
        stored_as: type of the weights in the file. float16 and bfloat16 halve it; they are float32 again when loaded.
        about: Markdown file with the sections on data, licences, use and limits for the model card; default: a general
            section on limits. A first line ``license: NAME`` sets the licence of the weights; default: that of the weights that
            the run began from, ``other`` if it is not recorded, and for new weights that of the code.
        evaluation: evaluation.json with the figures of the card; default: that of the run.

    Raises:
        CheckpointError: see `load_generator`.
        InputError: `out` contains other files or cannot be written, `about` or `evaluation` cannot be read, or a weight does
            not fit into float16.
    """
    loaded = load_generator(run, which=which)
    if out.exists() and not is_export(out) and any(out.iterdir() if out.is_dir() else [out]):
        raise InputError(f"{out}: contains files that are not an export; choose another --out")
    record: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "stored_as": stored_as,
        "config": configs.to_json(loaded.config),
        "label_set": asdict(loaded.label_set),
        "mel_stats": asdict(loaded.mel_stats),
        "mel_spec": asdict(resident.MEL_SPEC),
        "frame_rate": str(loaded.frame_rate),
        "progress": asdict(loaded.progress),
        "weights": loaded.which,
        "made_with": {name: version(name) for name in ("phonics-cssgan", "torch", "safetensors")},
    }
    if init := read_init(run):
        record["init"] = {
            "source": Path(init["source"]).name,
            "digest": init.get("digest"),
            "license": init.get("license"),
        }
    about_text = None if about is None else _read_text(about, "--about")
    record["license"] = license_of(about_text, record.get("init"))
    card = model_card(
        record,
        num_parameters=sum(parameter.numel() for parameter in loaded.network.parameters()),
        evaluation=_evaluation(
            run / "evaluation.json" if evaluation is None else evaluation, required=evaluation is not None
        ),
        about=about_text,
    )
    files = export_files(loaded, record, card)
    try:
        with temporary_folder(out) as temporary:
            for name, content in files.items():
                write_bytes(temporary / name, content)
            replace_folder(temporary, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    return out


def export_files(loaded: LoadedGenerator, record: Mapping[str, Any], card: str) -> dict[str, bytes]:
    """The files of an exported folder, name -> content.

    Args:
        record: ``config.json`` without ``sha256``, which is added, or with that of earlier weights.

    Raises:
        InputError: a weight does not fit into ``record["stored_as"]``.
    """
    data = encode_weights(_stored(loaded.network.state_dict(), record["stored_as"]), metadata={"format": "pt"})
    full = {
        "format": record["format"],
        "sha256": hashlib.sha256(data).hexdigest(),
        **{k: v for k, v in record.items() if k not in ("format", "sha256")},
    }
    return {
        WEIGHTS_FILE: data,
        CONFIG_FILE: json.dumps(full, indent=1, ensure_ascii=False).encode(),
        MODEL_CARD_FILE: card.encode(),
    }


def _stored(weights: Mapping[str, Tensor], stored_as: StoredAs) -> dict[str, Tensor]:
    """`weights` with floating-point tensors of the type `stored_as`. Raises `InputError` if one does not fit into it."""
    dtype = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[stored_as]
    stored = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    for name, tensor in stored.items():
        if not bool(torch.isfinite(tensor).all()):
            raise InputError(f"weight {name} does not fit into {stored_as}; use --stored-as bfloat16 or float32")
    return stored


def _read_text(path: Path, option: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error}); give another {option}") from error


def _evaluation(path: Path, *, required: bool) -> dict[str, Any] | None:
    """evaluation.json of `cssgan evaluate`; None if it is missing. Raises `InputError` if it is required."""
    try:
        return read_json_object(path, any_numbers=True)
    except (OSError, ValueError) as error:
        if required:
            raise InputError(
                f"{path}: not a report of `cssgan evaluate` ({error}); give its evaluation.json"
            ) from error
        return None
