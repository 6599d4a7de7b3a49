"""Named configurations. `paper` is the paper's words; the others change what their comments say."""

from __future__ import annotations

import difflib

from cssgan.config import Config, override
from phonics_data.errors import OptionError

SETTINGS: dict[str, tuple[str, ...]] = {
    # Widths of the specification, every ambiguity read literally.
    "paper": (),
    # Same size; what experiments favour: compose, half of the samples in time order.
    "tuned": ("model.g_output=compose", "order.p_chrono=0.5", "train.ema_half_life=10000"),
    # Middle layers 4x instead of 8x and 12x: 33.6 M weights, about half of the work.
    "lean": ("model.g_output=compose", "model.middle_first=4", "model.middle=4"),
    # 32x32 for CPUs: synchrony shows after some 600 steps.
    "tiny": (
        "data.size=32",
        "model.g_output=compose",
        "model.width=8",
        "model.middle_first=4",
        "model.middle=4",
        "model.code_dim=32",
        "model.audio_dim=96",
        "model.gru_dim=96",
        "model.inject_dim=16",
        "discriminator.width=8",
        "train.batch_size=4",
        "optim.g_lr=1e-3",
        "train.num_videos=40000",
        "train.checkpoint_every=250",
        "train.sample_every=250",
        "train.log_every=25",
    ),
}
# What the demo trains in a few minutes on two CPU cores.
# L1 alone finds out first what follows the sound; the game then gives the movement its size.
SETTINGS["smoke"] = (
    *SETTINGS["tiny"],
    "train.num_videos=8000",
    "train.threads=1",  # layers so small gain nothing from a second thread, and wait for it where the machine is busy
    "train.log_every=50",
    "train.sample_every=500",
    "train.checkpoint_every=500",
    "optim.g_lr=4e-3",
    "optim.d_lr=1e-3",
    "optim.decay_share=0.5",
    "order.p_chrono=0.5",
    "loss.adv_start=600",
    "loss.l1_weight=80",
)


def preset(name: str) -> Config:
    """The configuration called `name`. Raises `OptionError` for an unknown one, listing the known."""
    if name not in SETTINGS:
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise OptionError("--preset", name, ", ".join(SETTINGS) + hint)
    return override(Config(), SETTINGS[name])
