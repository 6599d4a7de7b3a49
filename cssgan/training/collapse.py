"""Detection of GAN training collapse: saturated discriminators and vanished gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cssgan.types import LossTerms

SATURATION_THRESHOLD = 0.01
"""The discriminators are saturated if both of their losses are below this. A loss of 1.386 (cross entropy) is chance."""
MIN_GRADIENT_NORM = 1e-12
"""A network receives no gradient if its gradient norm is below this."""


@dataclass(kw_only=True, slots=True)
class CollapseDetector:
    """Reports a collapse that has lasted for `patience` steps. `update` takes the mean terms of each log line.

    A collapse is one of:

    * Saturated discriminators: both losses are below `SATURATION_THRESHOLD`, so the generator receives no useful gradient.
    * The generator or the discriminators receive no gradient.

    Args:
        patience: steps; 0 disables the detector.
        since: last logged step before the collapse began; None: no collapse.
    """

    patience: int
    since: int | None = None

    def update(self, terms: LossTerms, *, step: int, num_steps: int) -> str | None:
        """Describe the collapse once it has lasted for `patience` steps, else None.

        Args:
            terms: means over the last `num_steps` steps.
        """
        problem = _problem(terms)
        if problem is None or self.patience == 0:
            self.since = None
            return None
        if self.since is None:
            self.since = step - num_steps
        duration = step - self.since
        return f"{problem} for {duration} steps" if duration >= self.patience else None


def _problem(terms: LossTerms) -> str | None:
    for network, name in (("generator", "g_grad_norm"), ("discriminators", "d_grad_norm")):
        if name in terms and terms[name] < MIN_GRADIENT_NORM:
            return f"the {network} received no gradient ({name} {terms[name]:.2g})"
    if all(terms.get(name, math.inf) < SATURATION_THRESHOLD for name in ("d_image", "d_video")):
        return f"the discriminators were saturated (d_image {terms['d_image']:.2g}, d_video {terms['d_video']:.2g})"
    return None
