"""What stops a run before it wastes a night: numbers that are no longer finite, and a game that is over."""

from __future__ import annotations

from dataclasses import dataclass

from cssgan.types import LossTerms

SATURATED = 0.01
"""Of each adversarial loss of the discriminators, 1.386 where they know nothing (cross entropy): below it they have won."""
ZERO_GRADIENT = 1e-12
"""A gradient of this length moves nothing."""


@dataclass(kw_only=True, slots=True)
class CollapseWatch:
    """Notices that the game has been over for `patience` steps; the means of each line of the log are shown to it.

    The discriminators have won where both of their losses stay under `WON`: nothing the generator does changes their
    mind. They, or the generator, are dead where their gradient is zero: nothing changes theirs.

    Args:
        patience: steps; 0 never stops.
        since: step of the last line before the trouble began, None where there is none.
    """

    patience: int
    since: int | None = None

    def look(self, terms: LossTerms, *, step: int, steps: int) -> str | None:
        """What is wrong, once it has lasted; `terms` are the means over the last `steps` steps."""
        trouble = _trouble(terms)
        if trouble is None or self.patience == 0:
            self.since = None
            return None
        if self.since is None:
            self.since = step - steps
        lasted = step - self.since
        return f"{trouble} for {lasted} steps" if lasted >= self.patience else None


def _trouble(terms: LossTerms) -> str | None:
    for who, name in (("generator", "g_grad_norm"), ("discriminators", "d_grad_norm")):
        if name in terms and terms[name] < ZERO_GRADIENT:
            return f"the {who} stood still ({name} {terms[name]:.2g})"
    if {"d_image", "d_video"} <= terms.keys() and terms["d_image"] < SATURATED and terms["d_video"] < SATURATED:
        return f"the discriminators have won (d_image {terms['d_image']:.2g}, d_video {terms['d_video']:.2g})"
    return None
