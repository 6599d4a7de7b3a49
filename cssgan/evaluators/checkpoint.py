"""A folder of judges: written whole, read back only if it is whole.

``judges.json`` holds the recipe, the classes, the digests of the shards, what each judge reaches on clips that it was and
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
from cssgan.errors import JudgesError
from cssgan.evaluators.networks import FrameClassifier, OrderJudge, SyncNet
from cssgan.evaluators.spec import JUDGES, JudgeName, JudgesSpec
from cssgan.storage.files import write_bytes
from cssgan.types import MelStats, Split
from phonics_data.contract.labels import LabelSet
from phonics_data.errors import PhonicsDataError

FORMAT = 1
RECORD = "judges.json"
Figures = Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judge:
    """One trained judge.

    Args:
        name: kind and digest of its weights, part of every protocol.
        seen, held_out: what it reaches on real clips that it was trained on and on those that it was not; the figure after
            which the judge is admitted comes first.
        num_held_out: clips of the latter.
    """

    network: nn.Module
    name: str
    seen: Figures
    held_out: Figures
    num_held_out: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainedJudges:
    """What `cssgan judges train` made.

    Args:
        judges: by kind.
        missing: kind -> why it could not be trained on this dataset.
        digests: split -> digest of its shards; of those that were trained on and of those that were held out.
    """

    spec: JudgesSpec
    label_set: LabelSet
    mel_stats: MelStats
    judges: Mapping[JudgeName, Judge]
    missing: Mapping[JudgeName, str]
    digests: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Of all weights, for whoever keeps results."""
        return hashlib.sha256(" ".join(judge.name for judge in self.judges.values()).encode()).hexdigest()[:16]

    def to(self, device: str) -> TrainedJudges:
        for judge in self.judges.values():
            judge.network.to(device)
        return self

    def check(self, *, size: int, num_frames: int, label_set: LabelSet) -> None:
        """Raises `JudgesError` for videos of another kind than these judges were trained on."""
        wanted = (size, num_frames, label_set.names)
        if (self.spec.size, self.spec.num_frames, self.label_set.names) != wanted:
            raise JudgesError(
                f"judges: trained on {_kind(self.spec.size, self.spec.num_frames, self.label_set)}, the model makes "
                f"{_kind(size, num_frames, label_set)}; train others: cssgan judges train --size {size} --frames {num_frames}"
            )

    def caution(self, dataset: Dataset, split: Split) -> str:
        """Why what they say of this split should be read with care; empty: it was held out when they were trained."""
        found = digest(find(dataset, split))
        if found == self.digests.get("train"):
            return "the judges were trained on these clips"
        if found not in self.digests.values():
            return "the judges were trained on another dataset"
        return ""


def _kind(size: int, num_frames: int, label_set: LabelSet) -> str:
    return f"{num_frames} frames of {size}x{size} with {len(label_set)} {label_set.name}"


def new_network(judge: JudgeName, label_set: LabelSet) -> nn.Module:
    """A judge before its training; its weights come from torch's random state."""
    if judge == "classes":
        return FrameClassifier(len(label_set))
    return SyncNet(MEL_SPEC.num_bands, MEL_SPEC.segment_hops) if judge == "sync" else OrderJudge()


def weights_of(network: nn.Module) -> bytes:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(tensors)


def save(folder: Path, judges: TrainedJudges) -> None:
    """The weights, then the record that makes the folder one of judges."""
    entries: dict[str, Any] = {}
    for kind, judge in judges.judges.items():
        data = weights_of(judge.network)
        write_bytes(folder / f"{kind}.safetensors", data)
        entries[kind] = {
            "sha256": hashlib.sha256(data).hexdigest(), "seen": dict(judge.seen), "held_out": dict(judge.held_out),
            "num_held_out": judge.num_held_out,
        }  # fmt: skip
    record = {
        "format": FORMAT,
        "spec": judges.spec.as_json(),
        "label_set": asdict(judges.label_set),
        "mel_stats": asdict(judges.mel_stats),
        "mel_spec": MEL_SPEC.digest(),
        "digests": dict(judges.digests),
        "judges": entries,
        "missing": dict(judges.missing),
    }
    write_bytes(folder / RECORD, json.dumps(record, indent=1).encode())


def load(folder: Path, *, device: str = "cpu") -> TrainedJudges:
    """The judges of a folder.

    Raises:
        JudgesError: none there, not finished, cut, changed, or of another program; the message says which.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["format"] != FORMAT or record["mel_spec"] != MEL_SPEC.digest():
            raise JudgesError(f"{folder}: judges of another version of this program; train them again")
        label_set = LabelSet(record["label_set"]["name"], tuple(record["label_set"]["names"]))
        judges: dict[JudgeName, Judge] = {}
        missing: dict[JudgeName, str] = {}
        for kind in JUDGES:
            if kind in record["judges"]:
                judges[kind] = _read(folder, kind, record["judges"][kind], label_set)
            else:
                missing[kind] = str(record["missing"][kind])
        loaded = TrainedJudges(
            spec=JudgesSpec(**record["spec"]),
            label_set=label_set,
            mel_stats=MelStats(**record["mel_stats"]),
            judges=judges,
            missing=missing,
            digests={str(split): str(text) for split, text in record["digests"].items()},
        )
    except OSError as error:
        raise JudgesError(
            f"{folder}: no judges there ({error.strerror}: {error.filename}); `cssgan judges train --out {folder}` makes "
            "them, or goes on where it was stopped"
        ) from error
    except JudgesError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, PhonicsDataError) as error:
        raise JudgesError(f"{folder}: not judges that this program reads ({error!r}); train them again") from error
    return loaded.to(device)


def _read(folder: Path, kind: JudgeName, entry: Mapping[str, Any], label_set: LabelSet) -> Judge:
    path = folder / f"{kind}.safetensors"
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != entry["sha256"]:
        raise JudgesError(f"{path}: cut, or changed since it was trained (checksum); train the judges again")
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn and then replaced
        network = new_network(kind, label_set)
    network.load_state_dict(safetensors.torch.load(data))
    return Judge(
        network=network.eval().requires_grad_(False),
        name=f"{kind}-{found[:12]}",
        seen=dict(entry["seen"]),
        held_out=dict(entry["held_out"]),
        num_held_out=int(entry["num_held_out"]),
    )
