"""A folder of evaluators: written whole, read back only if it is whole.

``evaluators.json`` holds the recipe, the classes, the digests of the shards, what each evaluator reaches on clips that it was and
was not trained on, and the sha256 of ``classes.safetensors``, ``sync.safetensors`` and ``order.safetensors``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from cssgan.data.resident import MEL_SPEC
from cssgan.data.shards import Dataset, digest, find
from cssgan.errors import EvaluatorError
from cssgan.evaluators.networks import FrameClassifier, OrderClassifier, SyncNet
from cssgan.evaluators.spec import EVALUATORS, EvaluatorName, EvaluatorSpec
from cssgan.storage.files import write_bytes
from cssgan.types import MelStats, Split
from phonics_data.contract.labels import LabelSet
from phonics_data.errors import PhonicsDataError

FORMAT = 1
RECORD = "evaluators.json"
Figures = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluator:
    """One trained evaluator.

    Args:
        name: kind and digest of its weights, part of every protocol.
        seen, held_out: what it reaches on real clips that it was trained on and on those that it was not; the figure after
            which the evaluator is admitted comes first.
        num_held_out: clips of the latter.
    """

    network: nn.Module
    name: str
    seen: Figures
    held_out: Figures
    num_held_out: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainedEvaluators:
    """What `cssgan evaluators train` made.

    Args:
        evaluators: by kind.
        missing: kind -> why it could not be trained on this dataset.
        digests: split -> digest of its shards; of those that were trained on and of those that were held out.
    """

    spec: EvaluatorSpec
    label_set: LabelSet
    mel_stats: MelStats
    evaluators: Mapping[EvaluatorName, Evaluator]
    missing: Mapping[EvaluatorName, str]
    digests: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Of all weights, for whoever keeps results."""
        return hashlib.sha256(" ".join(evaluator.name for evaluator in self.evaluators.values()).encode()).hexdigest()[
            :16
        ]

    def to(self, device: str) -> TrainedEvaluators:
        for evaluator in self.evaluators.values():
            evaluator.network.to(device)
        return self

    def check(self, *, size: int, num_frames: int, label_set: LabelSet) -> None:
        """Raises `EvaluatorError` for videos of another kind than these evaluators were trained on."""
        wanted = (size, num_frames, label_set.names)
        if (self.spec.size, self.spec.num_frames, self.label_set.names) != wanted:
            raise EvaluatorError(
                f"evaluators: trained on {_kind(self.spec.size, self.spec.num_frames, self.label_set)}, the model makes "
                f"{_kind(size, num_frames, label_set)}; train others: cssgan evaluators train --size {size} --frames {num_frames}"
            )

    def caution(self, dataset: Dataset, split: Split) -> str:
        """Why what they say of this split should be read with care; empty: it was held out when they were trained."""
        found = digest(find(dataset, split))
        if found == self.digests.get("train"):
            return "the evaluators were trained on these clips"
        if found not in self.digests.values():
            return "the evaluators were trained on another dataset"
        return ""


def _kind(size: int, num_frames: int, label_set: LabelSet) -> str:
    return f"{num_frames} frames of {size}x{size} with {len(label_set)} {label_set.name}"


def new_network(evaluator: EvaluatorName, label_set: LabelSet) -> nn.Module:
    """A evaluator before its training; its weights come from torch's random state."""
    if evaluator == "classes":
        return FrameClassifier(len(label_set))
    return SyncNet(MEL_SPEC.num_bands, MEL_SPEC.segment_hops) if evaluator == "sync" else OrderClassifier()


def weights_of(network: nn.Module) -> bytes:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(tensors)


def save(folder: Path, evaluators: TrainedEvaluators) -> None:
    """The weights, then the record that makes the folder one of evaluators."""
    entries: dict[str, Any] = {}
    for kind, evaluator in evaluators.evaluators.items():
        data = weights_of(evaluator.network)
        write_bytes(folder / f"{kind}.safetensors", data)
        entries[kind] = {
            "sha256": hashlib.sha256(data).hexdigest(), "seen": dict(evaluator.seen), "held_out": dict(evaluator.held_out),
            "num_held_out": evaluator.num_held_out,
        }  # fmt: skip
    record = {
        "format": FORMAT,
        "spec": evaluators.spec.as_json(),
        "label_set": asdict(evaluators.label_set),
        "mel_stats": asdict(evaluators.mel_stats),
        "mel_spec": MEL_SPEC.digest(),
        "digests": dict(evaluators.digests),
        "evaluators": entries,
        "missing": dict(evaluators.missing),
    }
    write_bytes(folder / RECORD, json.dumps(record, indent=1).encode())


def load(folder: Path, *, device: str = "cpu") -> TrainedEvaluators:
    """The evaluators of a folder.

    Raises:
        EvaluatorError: none there, not finished, cut, changed, or of another program; the message says which.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["format"] != FORMAT or record["mel_spec"] != MEL_SPEC.digest():
            raise EvaluatorError(f"{folder}: evaluators of another version of this program; train them again")
        label_set = LabelSet(record["label_set"]["name"], tuple(record["label_set"]["names"]))
        evaluators: dict[EvaluatorName, Evaluator] = {}
        missing: dict[EvaluatorName, str] = {}
        for kind in EVALUATORS:
            if kind in record["evaluators"]:
                evaluators[kind] = _read(folder, kind, record["evaluators"][kind], label_set)
            else:
                missing[kind] = str(record["missing"][kind])
        loaded = TrainedEvaluators(
            spec=EvaluatorSpec(**record["spec"]),
            label_set=label_set,
            mel_stats=MelStats(**record["mel_stats"]),
            evaluators=evaluators,
            missing=missing,
            digests={str(split): str(text) for split, text in record["digests"].items()},
        )
    except OSError as error:
        raise EvaluatorError(
            f"{folder}: no evaluators there ({error.strerror}: {error.filename}); `cssgan evaluators train --out {folder}` makes "
            "them, or goes on where it was stopped"
        ) from error
    except EvaluatorError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, PhonicsDataError) as error:
        raise EvaluatorError(
            f"{folder}: not evaluators that this program reads ({error!r}); train them again"
        ) from error
    return loaded.to(device)


def _read(folder: Path, kind: EvaluatorName, entry: Mapping[str, Any], label_set: LabelSet) -> Evaluator:
    path = folder / f"{kind}.safetensors"
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != entry["sha256"]:
        raise EvaluatorError(f"{path}: cut, or changed since it was trained (checksum); train the evaluators again")
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn and then replaced
        network = new_network(kind, label_set)
    network.load_state_dict(safetensors.torch.load(data))
    return Evaluator(
        network=network.eval().requires_grad_(False),
        name=f"{kind}-{found[:12]}",
        seen=dict(entry["seen"]),
        held_out=dict(entry["held_out"]),
        num_held_out=int(entry["num_held_out"]),
    )
