"""`cssgan evaluators train`: one evaluator after the other, each in steps that can be stopped and gone on with."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from cssgan.data import resident
from cssgan.data.resident import ResidentSplit
from cssgan.data.shards import Dataset, digest, find, splits
from cssgan.errors import EvaluatorError
from cssgan.evaluators import admission, checkpoint, losses, sampling
from cssgan.evaluators.checkpoint import Evaluator, TrainedEvaluators
from cssgan.evaluators.networks import FrameClassifier, OrderClassifier, SyncNet
from cssgan.evaluators.spec import EVALUATORS, EvaluatorName, EvaluatorSpec
from cssgan.storage.files import locked, write_bytes
from cssgan.types import MelStats, Split

RECIPE = "recipe.json"
SAVE_EVERY = 100
"""Steps between two states that a stopped training goes on from."""
MOST_SEEN, MOST_HELD_OUT = 200, 1000
"""Clips on which a finished evaluator is tried."""
HELD_OUT: tuple[Split, ...] = ("validation", "test")
Say = Callable[[str], None]


def train(dataset: Dataset, out: Path, spec: EvaluatorSpec, *, device: str = "cpu", say: Say) -> TrainedEvaluators:
    """Train the evaluators on the training clips of a dataset and try them on the clips of all other splits.

    Nothing is chosen on the latter, so they stay held out. The same call goes on where it stopped, and gives on a CPU the
    same bits as if it had not; where all is done, it reads what is there.

    Args:
        out: folder for the evaluators; see `cssgan.evaluators.checkpoint`.
        say: told how it goes, a line at a time.

    Raises:
        DatasetError: no training shards.
        EvaluatorError: no split is held out, or `out` holds evaluators of another recipe or dataset.
        WorkspaceLockedError: another process trains in `out`.
    """
    have = splits(dataset)
    train_shards = find(dataset, "train")
    held_out: list[Split] = [split for split in HELD_OUT if split in have]
    if not held_out:
        raise EvaluatorError(
            f"{dataset}: has no validation-*.tar or test-*.tar, and a evaluator must be tried on clips that it was not trained "
            "on; build the dataset with `--split-ratios 0.8,0.1,0.1`"
        )
    with locked(out, "another process trains evaluators in this folder; wait for it"):
        digests = {"train": digest(train_shards)} | {split: digest(find(dataset, split)) for split in held_out}
        _claim(out, {"spec": spec.as_json(), "digests": digests})
        if (out / checkpoint.RECORD).exists():
            return checkpoint.load(out, device=device)
        return _train(dataset, out, spec, held_out, digests, device, say)


def _claim(out: Path, recipe: dict[str, Any]) -> None:
    """Write the recipe before any work, or compare it with the one that is there."""
    path = out / RECIPE
    if path.exists():
        try:
            before = json.loads(path.read_text())
            old = {**before["spec"], **{f"{split} shards": text for split, text in before["digests"].items()}}
        except (ValueError, KeyError, TypeError) as error:
            raise EvaluatorError(f"{path}: not the recipe of evaluators ({error!r}); take another --out") from error
        new = {**recipe["spec"], **{f"{split} shards": text for split, text in recipe["digests"].items()}}
        changed = [
            f"{name} {old.get(name)} (now {new.get(name)})" for name in {**old, **new} if old.get(name) != new.get(name)
        ]
        if changed:
            raise EvaluatorError(
                f"{out}: holds evaluators with other {', '.join(changed)}; take another --out, or the same options"
            )
        return
    if out.exists() and any(path.suffix == ".safetensors" for path in out.iterdir()):
        raise EvaluatorError(f"{out}: holds weights of something else; take another --out")
    write_bytes(path, json.dumps(recipe, indent=1).encode())


def _train(
    dataset: Dataset,
    out: Path,
    spec: EvaluatorSpec,
    held_out: list[Split],
    digests: dict[str, str],
    device: str,
    say: Say,
) -> TrainedEvaluators:
    clips = resident.load(dataset, "train", spec.size)
    stats = MelStats(mean=clips.mean, std=clips.std, clamp=sampling.MEL_CLAMP)
    seen = sampling.real_windows(clips, spec, most=MOST_SEEN)
    parts = [
        sampling.real_windows(
            resident.load(dataset, split, spec.size), spec, most=MOST_HELD_OUT, label_set=clips.label_set
        )
        for split in held_out
    ]
    unseen = sampling.joined(parts)
    evaluators: dict[EvaluatorName, Evaluator] = {}
    missing: dict[EvaluatorName, str] = {}
    for kind in EVALUATORS:
        if kind == "order" and not sampling.long_enough(clips, spec):
            missing[kind] = f"no training clip lasts {spec.num_frames} frames"
            say(f"{kind}: {missing[kind]}")
            continue
        network = _train_one(kind, clips, out, spec, device, say).cpu().eval().requires_grad_(False)
        reached = [admission.figures(kind, network, data, stats) for data in (seen, unseen)]
        if not reached[1]:
            missing[kind] = "the held-out clips are too few or too short to try it on"
            say(f"{kind}: {missing[kind]}")
            continue
        name = f"{kind}-{hashlib.sha256(checkpoint.weights_of(network)).hexdigest()[:12]}"
        evaluators[kind] = Evaluator(
            network=network, name=name, seen=reached[0], held_out=reached[1], num_held_out=len(unseen)
        )  # fmt: skip
        say(told(kind, evaluators[kind], len(clips.label_set)))
    trained = TrainedEvaluators(
        spec=spec, label_set=clips.label_set, mel_stats=stats, evaluators=evaluators, missing=missing, digests=digests
    )
    checkpoint.save(out, trained)
    for kind in EVALUATORS:
        _state_path(out, kind).unlink(missing_ok=True)
    return trained.to(device)


def told(kind: EvaluatorName, evaluator: Evaluator, num_classes: int) -> str:
    """A evaluator's figures in one line, and whether it may evaluator."""
    name, least = admission.ADMITTED_BY[kind], admission.bound(kind, num_classes)
    values = ", ".join(
        f"{figure} {value:.3f} ({evaluator.seen.get(figure, math.nan):.3f} on training clips)"
        for figure, value in evaluator.held_out.items()
    )
    verdict = "evaluators" if evaluator.held_out[name] >= least else "does not evaluator"
    return f"{kind}: {values} on {evaluator.num_held_out} held-out clips; needs {name} {least:.3f}: {verdict}"


def _train_one(
    kind: EvaluatorName, clips: ResidentSplit, out: Path, spec: EvaluatorSpec, device: str, say: Say
) -> nn.Module:  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.seed)
        network = checkpoint.new_network(kind, clips.label_set).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=spec.learning_rate, weight_decay=spec.weight_decay)
    path, total = _state_path(out, kind), spec.num_steps(kind)
    done = _restore(path, network, optimizer)
    if done:
        say(f"{kind}: goes on at step {done} of {total}")
    network.train()
    mean = 0.0
    for step in range(done, total):
        for group in optimizer.param_groups:
            group["lr"] = spec.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / total))
        # Dropout is a function of seed and step too, so that nothing hangs on where a training was stopped.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(spec.seed * 1_000_003 + step)
            loss = _loss(kind, network, clips, spec, step, torch.device(device))
        if not bool(torch.isfinite(loss)):
            raise EvaluatorError(
                f"{out}: the loss of evaluator {kind} is not finite at step {step}; take another --seed"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        mean += float(loss.detach())
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == total:
            _keep(path, network, optimizer, step + 1)
            say(f"{kind}: step {step + 1} of {total}, loss {mean / (step % SAVE_EVERY + 1):.3f}")
            mean = 0.0
    return network


def _loss(
    kind: EvaluatorName, network: nn.Module, clips: ResidentSplit, spec: EvaluatorSpec, step: int, device: torch.device
) -> torch.Tensor:
    if kind == "classes":
        return losses.classes(cast("FrameClassifier", network), clips, spec, step, device)
    if kind == "sync":
        return losses.sync(cast("SyncNet", network), clips, spec, step, device)
    return losses.order(cast("OrderClassifier", network), clips, spec, step, device)


def _state_path(out: Path, kind: EvaluatorName) -> Path:
    return out / f"{kind}.state.pt"


def _keep(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, num_steps: int) -> None:
    buffer = io.BytesIO()
    torch.save({"network": network.state_dict(), "optimizer": optimizer.state_dict(), "num_steps": num_steps}, buffer)
    write_bytes(path, buffer.getvalue())


def _restore(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Steps that were done; 0 where there is no state."""
    if not path.exists():
        return 0
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        return int(state["num_steps"])
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        pickle.UnpicklingError,
    ) as error:
        raise EvaluatorError(
            f"{path}: a state that cannot be read ({type(error).__name__}); delete it to begin that evaluator anew"
        ) from error
