"""The whole step as one CUDA graph: recorded once, then replayed, so that no time goes into launching kernels."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from cssgan.config import Config
from cssgan.training.step import Terms, TrainState, is_adversarial, prepare, update
from cssgan.types import Batch

WARM_UP = 3
"""Steps that run eagerly, on a stream of their own, before one is recorded; they are steps of the run like any other."""


class RecordedStep:
    """`cssgan.training.step.train_step` for one GPU, with the same arguments and the same results.

    The batch is copied into tensors that stay where they are; learning rates and the weight of the average are tensors
    that `prepare` fills. When `loss.adv_start` is reached the step becomes another one and is recorded anew.
    """

    def __init__(self, train_state: TrainState, config: Config) -> None:
        self.train_state, self.config = train_state, config
        self._stream = torch.cuda.Stream()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Batch | None = None
        self._terms: Terms = {}
        self._kind: bool | None = None
        self._warm = 0

    def __call__(self, batch: Batch, *, num_steps: int, num_videos: int) -> Terms:
        kind = is_adversarial(self.config, num_steps)
        if kind != self._kind:
            self._graph, self._kind, self._warm = None, kind, 0
        prepare(self.train_state, self.config, num_videos=num_videos)
        if self._graph is None and self._warm < WARM_UP:
            self._warm += 1
            return self._eager(batch)
        if self._graph is None:
            self._record(batch)
        assert self._graph is not None
        assert self._batch is not None
        _copy(batch, self._batch)
        self._graph.replay()
        # The next replay overwrites what this one gave.
        return {name: value.clone() for name, value in self._terms.items()}

    def _eager(self, batch: Batch) -> Terms:
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            terms = update(self.train_state, batch, self.config, adversarial=bool(self._kind))
        torch.cuda.current_stream().wait_stream(self._stream)
        return terms

    def _record(self, batch: Batch) -> None:
        self._batch = replace(batch, **{name: value.clone() for name, value in _tensors(batch).items()})
        self._graph = torch.cuda.CUDAGraph()
        for optim in (self.train_state.g_optim, self.train_state.d_optim):
            optim.zero_grad(set_to_none=True)  # gradients must come from the memory of the graph
        # The thread that prepares the next batch calls nothing of the GPU itself, but may collect garbage that does.
        with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
            self._terms = update(self.train_state, self._batch, self.config, adversarial=bool(self._kind))


def _tensors(batch: Batch) -> dict[str, Tensor]:
    values: dict[str, Any] = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor)}


def _copy(source: Batch, target: Batch) -> None:
    there = _tensors(target)
    for name, value in _tensors(source).items():
        there[name].copy_(value, non_blocking=True)
