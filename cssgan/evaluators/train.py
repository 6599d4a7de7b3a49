"""`cssgan evaluators train`: trains the evaluators one after the other, resumable."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cssgan.data import resident
from cssgan.data.resident import ResidentSplit
from cssgan.data.shards import Dataset, available_splits, find_shards, shards_digest
from cssgan.errors import EvaluatorError
from cssgan.evaluators import admission, checkpoint, losses, sampling
from cssgan.evaluators.checkpoint import Evaluator, TrainedEvaluators
from cssgan.evaluators.spec import EVALUATOR_KINDS, EvaluatorKind, EvaluatorSpec
from cssgan.storage.artifact import encode_weights, load_state
from cssgan.storage.files import locked
from cssgan.types import MelStats, Split
from phonics_data.contract.files import write_bytes
from phonics_data.contract.untrusted import read_json_object

RECIPE = "recipe.json"
SAVE_EVERY = 100
"""Steps between two saved training states."""
MAX_SEEN, MAX_HELD_OUT = 200, 1000
"""Training and held-out clips on which the accuracy of a trained evaluator is measured."""
HELD_OUT: tuple[Split, ...] = ("validation", "test")
OnProgress = Callable[[str], None]


def train(
    dataset: Dataset, out: Path, spec: EvaluatorSpec, *, device: str = "cpu", on_progress: OnProgress
) -> TrainedEvaluators:
    """Train the evaluators on the train split and measure their accuracy on all other splits.

    Nothing is selected on the other splits. The same call resumes a stopped training, on a CPU with bit-equal results.
    If everything is trained, it reads the result.

    Args:
        out: folder of the evaluators, see `cssgan.evaluators.checkpoint`.
        on_progress: called with one line of text at a time.

    Raises:
        DatasetError: no training shards.
        EvaluatorError: no held-out split, or `out` contains evaluators of another spec or dataset.
        WorkspaceLockedError: another process trains in `out`.
    """
    available = available_splits(dataset)
    train_shards = find_shards(dataset, "train")
    held_out: list[Split] = [split for split in HELD_OUT if split in available]
    if not held_out:
        raise EvaluatorError(
            f"{dataset}: has no validation-*.tar or test-*.tar, but evaluators need held-out clips; build the dataset "
            "with `--split-ratios 0.8,0.1,0.1`"
        )
    with locked(out, "another process trains evaluators in this folder; wait for it"):
        digests = {"train": shards_digest(train_shards)}
        digests |= {split: shards_digest(find_shards(dataset, split)) for split in held_out}
        _check_recipe(out, {"spec": asdict(spec), "digests": digests})
        if (out / checkpoint.FORMAT.record_name).exists():
            return checkpoint.load(out, device=device)
        return _train_all(dataset, out, spec, held_out, digests, device, on_progress)


def _check_recipe(out: Path, recipe: dict[str, Any]) -> None:
    """Compare the recipe (spec and digests of the shards) with that of the folder; write it into a new folder."""
    path = out / RECIPE
    if not path.exists():
        if out.exists() and any(path.suffix == ".safetensors" for path in out.iterdir()):
            raise EvaluatorError(f"{out}: contains other weights; use another --out")
        write_bytes(path, json.dumps(recipe, indent=1).encode())
        return
    try:
        old = _flatten(read_json_object(path))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluatorError(f"{path}: not a recipe of evaluators ({error!r}); use another --out") from error
    new = _flatten(recipe)
    changed = [f"{name} {old.get(name)} (now {new.get(name)})" for name in old | new if old.get(name) != new.get(name)]
    if changed:
        raise EvaluatorError(
            f"{out}: contains evaluators with other {', '.join(changed)}; use another --out, or the same options"
        )


def _flatten(recipe: dict[str, Any]) -> dict[str, Any]:
    return {**recipe["spec"], **{f"{split} shards": text for split, text in recipe["digests"].items()}}


def _train_all(
    dataset: Dataset,
    out: Path,
    spec: EvaluatorSpec,
    held_out: list[Split],
    digests: dict[str, str],
    device: str,
    on_progress: OnProgress,
) -> TrainedEvaluators:
    clips = resident.load(dataset, "train", spec.size)
    stats = MelStats(mean=clips.mean, std=clips.std, clamp=sampling.MEL_CLAMP)
    seen = sampling.real_windows(clips, spec, max_clips=MAX_SEEN)
    unseen = sampling.concatenate([
        sampling.real_windows(
            resident.load(dataset, split, spec.size), spec, max_clips=MAX_HELD_OUT, label_set=clips.label_set
        )
        for split in held_out
    ])  # fmt: skip
    evaluators: dict[EvaluatorKind, Evaluator] = {}
    missing: dict[EvaluatorKind, str] = {}
    for kind in EVALUATOR_KINDS:
        if kind == "order" and not sampling.clips_with_whole_window(clips, spec):
            missing[kind] = f"no training clip lasts {spec.num_frames} frames"
            on_progress(f"{kind}: {missing[kind]}")
            continue
        network = _train_one(kind, clips, out, spec, device, on_progress).cpu().eval().requires_grad_(False)
        accuracies = [admission.real_accuracy(kind, network, data, stats) for data in (seen, unseen)]
        if not accuracies[1]:
            missing[kind] = "the held-out clips are too few or too short to measure its accuracy"
            on_progress(f"{kind}: {missing[kind]}")
            continue
        name = checkpoint.name_of(kind, encode_weights(network.state_dict()))
        evaluators[kind] = Evaluator(
            network=network, name=name, seen=accuracies[0], held_out=accuracies[1], num_held_out=len(unseen)
        )
        on_progress(summary(kind, evaluators[kind], len(clips.label_set)))
    trained = TrainedEvaluators(
        spec=spec, label_set=clips.label_set, mel_stats=stats, evaluators=evaluators, missing=missing, digests=digests
    )
    checkpoint.save(out, trained)
    for kind in EVALUATOR_KINDS:
        _state_path(out, kind).unlink(missing_ok=True)
    return trained.to(device)


def summary(kind: EvaluatorKind, evaluator: Evaluator, num_classes: int) -> str:
    """The accuracies of an evaluator in one line, and whether it is admitted."""
    metric, required = admission.ADMISSION_METRIC[kind], admission.required_level(kind, num_classes)
    values = ", ".join(
        f"{name} {value:.3f} ({evaluator.seen.get(name, math.nan):.3f} on training clips)"
        for name, value in evaluator.held_out.items()
    )
    refused = admission.refusal_reason(
        kind, evaluator.held_out, evaluator.num_held_out, evaluator.held_out, num_classes
    )
    status = "not admitted" if refused else "admitted"
    return f"{kind}: {values} on {evaluator.num_held_out} held-out clips; needs {metric} {required:.3f}: {status}"


def _train_one(
    kind: EvaluatorKind, clips: ResidentSplit, out: Path, spec: EvaluatorSpec, device: str, on_progress: OnProgress
) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        network = checkpoint.new_network(kind, clips.label_set).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)
    path, num_steps = _state_path(out, kind), spec.num_steps(kind)
    first_step = _load_state(path, network, optimizer)
    if first_step:
        on_progress(f"{kind}: resumes at step {first_step} of {num_steps}")
    network.train()
    loss_sum = 0.0
    for step in range(first_step, num_steps):
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / num_steps))
        # Dropout is a function of seed and step too, so that the result does not depend on interruptions.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed * 1_000_003 + step)
            loss = losses.loss(kind, network, clips, spec, step, torch.device(device))
        if not bool(torch.isfinite(loss)):
            raise EvaluatorError(
                f"{out}: the loss of the evaluator of {kind} is not finite at step {step}; use another --seed"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        loss_sum += float(loss.detach())
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == num_steps:
            _save_state(path, network, optimizer, step + 1)
            mean_loss = loss_sum / (step % SAVE_EVERY + 1)
            on_progress(f"{kind}: step {step + 1} of {num_steps}, loss {mean_loss:.3f}")
            loss_sum = 0.0
    return network


def _state_path(out: Path, kind: EvaluatorKind) -> Path:
    return out / f"{kind}.state.pt"


def _save_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, num_steps: int) -> None:
    buffer = io.BytesIO()
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "num_steps": num_steps}, buffer)
    write_bytes(path, buffer.getvalue())


def _load_state(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Restore a saved training state. Returns the number of finished steps; 0 if there is no state."""
    if not path.exists():
        return 0
    try:
        state = load_state(path)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["num_steps"])
    except (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise EvaluatorError(
            f"{path}: the training state cannot be read ({type(error).__name__}); delete it to restart this evaluator"
        ) from error
