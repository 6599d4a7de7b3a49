"""The whole training step as a CUDA graph: captured once, then replayed, which avoids the cost of kernel launches."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from cssgan.config import Config
from cssgan.training.step import Terms, TrainState, is_adversarial, run_updates, set_schedules
from cssgan.types import Batch

WARM_UP_STEPS = 3
"""Eager steps on a side stream before the capture. They are regular steps of the run."""


class CudaGraphStep:
    """`cssgan.training.step.train_step` on one GPU, with the same results.

    Each batch is copied into static tensors. Learning rates, the weights of a schedule and that of the running average are
    tensors that `set_schedules` fills. When the adversarial losses start (`loss.adv_start`), the step is captured again.
    """

    def __init__(self, train_state: TrainState, config: Config) -> None:
        self.train_state, self.config = train_state, config
        self._stream = torch.cuda.Stream()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._static_batch: Batch | None = None
        self._static_terms: Terms = {}
        self._adversarial: bool | None = None
        self._num_eager = 0

    def __call__(self, batch: Batch, *, num_steps: int, num_videos: int) -> Terms:
        """As `train_step`."""
        adversarial = is_adversarial(self.config, num_steps)
        if adversarial != self._adversarial:
            self._graph, self._adversarial, self._num_eager = None, adversarial, 0
        set_schedules(self.train_state, self.config, num_videos=num_videos)
        if self._graph is None and self._num_eager < WARM_UP_STEPS:
            self._num_eager += 1
            return self._run_eagerly(batch)
        if self._graph is None:
            self._capture(batch)
        assert self._graph is not None
        assert self._static_batch is not None
        _copy(batch, self._static_batch)
        self._graph.replay()
        # The next replay overwrites the static terms.
        return {name: value.clone() for name, value in self._static_terms.items()}

    def _run_eagerly(self, batch: Batch) -> Terms:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            terms = self._run_updates(batch)
        torch.cuda.current_stream().wait_stream(self._stream)
        return terms

    def _capture(self, batch: Batch) -> None:
        self._static_batch = replace(batch, **{name: value.clone() for name, value in _tensors(batch).items()})
        self._graph = torch.cuda.CUDAGraph()
        for optim in (self.train_state.g_optim, self.train_state.d_optim):
            optim.zero_grad(set_to_none=True)  # gradients must be allocated in the memory pool of the graph
        # thread_local: garbage collection in the loader's thread may call CUDA during the capture.
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._static_terms = self._run_updates(self._static_batch)

    def _run_updates(self, batch: Batch) -> Terms:
        # The configuration refuses loss.penalty_every > 1 here, so all steps have the same penalties.
        return run_updates(self.train_state, batch, self.config, adversarial=bool(self._adversarial), penalized=True)


def _tensors(batch: Batch) -> dict[str, Tensor]:
    values: dict[str, Any] = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def _copy(source: Batch, target: Batch) -> None:
    targets = _tensors(target)
    for name, value in _tensors(source).items():
        targets[name].copy_(value, non_blocking=True)
