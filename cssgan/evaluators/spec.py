"""What the evaluators are trained with, and what one must reach on held-out real clips before it may evaluator."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from phonics_data.errors import OptionError

EvaluatorName = Literal["classes", "sync", "order"]
EVALUATORS: tuple[EvaluatorName, ...] = get_args(EvaluatorName)
MAX_SHIFT = 8
"""The synchrony evaluator looks for the sound up to so many frames earlier and later."""
SEGMENTS = 4
"""Segments whose order is judged, as many as the paper's clips."""
MIN_FRAMES = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluatorSpec:
    """A recipe. The evaluators are a function of it and of the training shards.

    Args:
        size: height and width of the frames, as the models make them.
        num_frames: of a window, as the models make them; a multiple of `SEGMENTS`, `MIN_FRAMES` or more.
        class_steps, sync_steps, order_steps: training steps of each evaluator.
        batch_size: frames (classes) or windows (sync, order) a step.
        learning_rate: of AdamW, falling to 0 along a cosine.
        weight_decay: of AdamW.
        seed: of weights and of everything that is drawn.
    """

    size: int = 64
    num_frames: int = 32
    class_steps: int = 1500
    sync_steps: int = 300
    order_steps: int = 500
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 16:
            raise OptionError("--size", self.size, "16 or more")
        if self.num_frames < MIN_FRAMES or self.num_frames % SEGMENTS:
            raise OptionError("--frames", self.num_frames, f"a multiple of {SEGMENTS}, {MIN_FRAMES} or more")

        if any(self.num_steps(name) < 1 for name in EVALUATORS):
            raise OptionError("--steps", min(self.num_steps(name) for name in EVALUATORS), "1 or more")

    def num_steps(self, evaluator: EvaluatorName) -> int:
        return {"classes": self.class_steps, "sync": self.sync_steps, "order": self.order_steps}[evaluator]

    def shortened(self, share: float) -> EvaluatorSpec:
        """The recipe with so large a share of its steps."""
        steps = [max(1, round(share * self.num_steps(name))) for name in EVALUATORS]
        return replace(self, class_steps=steps[0], sync_steps=steps[1], order_steps=steps[2])

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def floor(chance_level: float) -> float:
    """What a evaluator must reach on held-out real clips: half-way from guessing to certainty.

    Below it, more than half of what the evaluator says of a generated video would be its own error.
    """
    return (1.0 + chance_level) / 2.0
