"""The folder of trained evaluators.

``evaluators.json`` contains the training parameters, the classes, the digests of the shards, the accuracy of each
evaluator on clips that it was and was not trained on, and the sha256 of ``classes.safetensors``, ``sync.safetensors``
and ``order.safetensors``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cssgan.data.resident import MEL_SPEC
from cssgan.data.shards import Dataset, find_shards, shards_digest
from cssgan.errors import EvaluatorError
from cssgan.evaluators.networks import FrameClassifier, OrderClassifier, SyncNet
from cssgan.evaluators.spec import EVALUATOR_KINDS, EvaluatorKind, EvaluatorSpec
from cssgan.storage.artifact import ArtifactFormat, decode_weights, encode_weights
from cssgan.types import MelStats, Split
from phonics_data.contract.labels import LabelSet
from phonics_data.contract.records import from_plain

FORMAT = ArtifactFormat(
    kind="folder of evaluators", record_name="evaluators.json", version=1, error=EvaluatorError
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluator:
    """One trained evaluator.

    Args:
        name: kind and digest of its weights; part of the protocol of every result.
        seen, held_out: accuracies on real clips that it was and was not trained on; see `admission.real_accuracy`.
        num_held_out: number of held-out clips.
    """

    network: nn.Module
    name: str
    seen: Mapping[str, float]
    held_out: Mapping[str, float]
    num_held_out: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainedEvaluators:
    """The result of `cssgan evaluators train`.

    Args:
        missing: kind -> the reason why it could not be trained on this dataset.
        digests: split -> digest of its shards, for the training split and the held-out splits.
    """

    spec: EvaluatorSpec
    label_set: LabelSet
    mel_stats: MelStats
    evaluators: Mapping[EvaluatorKind, Evaluator]
    missing: Mapping[EvaluatorKind, str]
    digests: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Digest of all weights."""
        names = " ".join(evaluator.name for evaluator in self.evaluators.values())
        return hashlib.sha256(names.encode()).hexdigest()[:16]

    def to(self, device: str) -> TrainedEvaluators:
        for evaluator in self.evaluators.values():
            evaluator.network.to(device)
        return self

    def check(self, *, size: int, num_frames: int, label_set: LabelSet) -> None:
        """Raises `EvaluatorError` if the evaluators were trained on another size, length or label set."""
        if (self.spec.size, self.spec.num_frames, self.label_set.names) != (size, num_frames, label_set.names):
            raise EvaluatorError(
                f"evaluators: trained on {_describe(self.spec.size, self.spec.num_frames, self.label_set)}, the model "
                f"generates {_describe(size, num_frames, label_set)}; train others: "
                f"cssgan evaluators train --size {size} --frames {num_frames}"
            )

    def caution(self, dataset: Dataset, split: Split) -> str:
        """Why results on this split must be interpreted with care; empty if the split was held out in training."""
        found = shards_digest(find_shards(dataset, split))
        if found == self.digests.get("train"):
            return "the evaluators were trained on these clips"
        if found not in self.digests.values():
            return "the evaluators were trained on another dataset"
        return ""


def _describe(size: int, num_frames: int, label_set: LabelSet) -> str:
    return f"{num_frames} frames of {size}x{size} with {len(label_set)} {label_set.name}"


def new_network(kind: EvaluatorKind, label_set: LabelSet) -> nn.Module:
    """An untrained evaluator; its weights depend on torch's random state."""
    if kind == "classes":
        return FrameClassifier(len(label_set))
    return SyncNet(MEL_SPEC.num_bands, MEL_SPEC.segment_hops) if kind == "sync" else OrderClassifier()


def name_of(kind: EvaluatorKind, weights: bytes) -> str:
    """Kind and digest of the weights."""
    return f"{kind}-{hashlib.sha256(weights).hexdigest()[:12]}"


def save(folder: Path, trained: TrainedEvaluators) -> None:
    """Write the weights, then the record that makes the folder complete."""
    files: dict[str, bytes] = {}
    entries: dict[str, Any] = {}
    for kind, evaluator in trained.evaluators.items():
        weights = encode_weights(evaluator.network.state_dict())
        files[f"{kind}.safetensors"] = weights
        entries[kind] = {
            "sha256": hashlib.sha256(weights).hexdigest(), "seen": dict(evaluator.seen),
            "held_out": dict(evaluator.held_out), "num_held_out": evaluator.num_held_out,
        }  # fmt: skip
    fields = {
        "spec": asdict(trained.spec),
        "label_set": asdict(trained.label_set),
        "mel_stats": asdict(trained.mel_stats),
        "mel_spec": MEL_SPEC.digest(),
        "digests": dict(trained.digests),
        "evaluators": entries,
        "missing": dict(trained.missing),
    }
    FORMAT.update_folder(folder, files, fields)


def load(folder: Path, *, device: str = "cpu") -> TrainedEvaluators:
    """Read the evaluators of a folder.

    Raises:
        EvaluatorError: missing, incomplete, truncated, changed, or of another version.
    """
    try:
        with FORMAT.reading(folder) as record:
            if record["mel_spec"] != MEL_SPEC.digest():
                raise EvaluatorError(f"{folder}: trained with other log-mel parameters than those of this program")
            label_set = LabelSet.from_json(record["label_set"])
            entries = record["evaluators"]
            return TrainedEvaluators(
                spec=from_plain(EvaluatorSpec, record["spec"]),
                label_set=label_set,
                mel_stats=MelStats.from_json(record["mel_stats"]),
                evaluators={
                    kind: _read(folder, kind, entries[kind], label_set) for kind in EVALUATOR_KINDS if kind in entries
                },
                missing={kind: str(record["missing"][kind]) for kind in EVALUATOR_KINDS if kind not in entries},
                digests={str(split): str(text) for split, text in record["digests"].items()},
            ).to(device)
    except EvaluatorError as error:
        raise EvaluatorError(f"{error}; run `cssgan evaluators train --out {folder}`") from error


def _read(folder: Path, kind: EvaluatorKind, entry: Mapping[str, Any], label_set: LabelSet) -> Evaluator:
    weights = FORMAT.read_file(folder / f"{kind}.safetensors", entry)
    with torch.random.fork_rng(devices=[]):  # the initial weights are random and then replaced
        network = new_network(kind, label_set)
    network.load_state_dict(decode_weights(weights))
    return Evaluator(
        network=network.eval().requires_grad_(False),
        name=name_of(kind, weights),
        seen=dict(entry["seen"]),
        held_out=dict(entry["held_out"]),
        num_held_out=int(entry["num_held_out"]),
    )
