"""Named configurations. `paper` holds the values of the paper; the comments say what the others change."""

from __future__ import annotations

import difflib

from cssgan.config import Config, override
from phonics_data.errors import OptionError

SETTINGS: dict[str, tuple[str, ...]] = {
    # The paper's values; ambiguities are read literally.
    "paper": (),
    # Same size with options of decision 0010: a reconstruction loss that does not reward copies of the start image, starts
    # that precede their clip, a start image whose pixels a flow field moves, and audio of the whole window.
    "tuned": (
        "model.g_output=warp",
        "model.norm=group",
        "model.audio_inject=every",
        "model.audio_context=window",
        "model.shuffled_starts=real",
        "order.p_in_order=0.5",
        "loss.l1_weight=20",
        "loss.l2_weight=150",
        "optim.max_grad_norm=10",
        "train.ema_half_life=10000",
    ),
    # Middle channels 4x instead of 8x and 12x: 33.6 M weights, about half of the FLOPs.
    "lean": ("model.g_output=compose", "model.audio_inject=every", "model.middle_first=4", "model.middle=4"),
    # 32x32 for CPUs; synchrony becomes measurable after about 600 steps.
    "tiny": (
        "data.size=32",
        "model.g_output=compose",
        "model.width=8",
        "model.middle_first=4",
        "model.middle=4",
        "model.code_dim=32",
        "model.audio_dim=96",
        "model.gru_dim=96",
        "model.audio_inject=every",
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
# For `cssgan check-training` on a CPU: as long as `tiny`, higher learning rates that decay in the second half, EMA weights.
SETTINGS["small"] = (
    *SETTINGS["tiny"],
    "train.threads=1",
    "train.ema_half_life=2000",
    "optim.g_lr=4e-3",
    "optim.d_lr=1e-3",
    "optim.lr_decay_fraction=0.5",
    "order.p_in_order=0.5",
)
# For the demo: a few minutes on two CPU cores. L1 alone first learns what depends on the audio; the adversarial loss
# then increases the amount of motion.
SETTINGS["smoke"] = (
    *SETTINGS["tiny"],
    "train.num_videos=6400",
    "train.threads=1",  # a second thread does not speed up layers this small, and slows them down on a busy machine
    "train.log_every=50",
    "train.sample_every=500",
    "train.checkpoint_every=500",
    "optim.g_lr=4e-3",
    "optim.d_lr=1e-3",
    "optim.lr_decay_fraction=0.5",
    "order.p_in_order=0.5",
    "loss.adv_start=600",
    "loss.l1_weight=80",
)

# One stream generates the whole window: no clips, orders or cascade.
_WINDOW = (
    "model.streams=1",
    "model.cascade=false",
    "order.shuffle=none",
    "discriminator.video_d=whole",
)
# The paper's baselines at their own sizes. As in their papers, only ImaGINator has an L1 loss.
SETTINGS["mocogan"] = (
    *_WINDOW,
    "model.kind=mocogan",
    "model.code_dim=50",
    "model.gru_dim=10",
    "loss.l1_weight=0",
    "optim.weight_decay=1e-5",
)
SETTINGS["g3an"] = (*_WINDOW, "model.kind=g3an", "model.code_dim=128", "model.gru_dim=10", "loss.l1_weight=0")
SETTINGS["imaginator"] = (*_WINDOW, "model.kind=imaginator", "model.gru_dim=512")
SETTINGS["phonicsgan_like"] = (
    *_WINDOW,
    "model.kind=phonicsgan_like",
    "model.code_dim=50",
    "model.audio_dim=128",
    "model.z_dim=50",
    "loss.l1_weight=0",
)
# The same with the L1 term of the CSSGAN, which ties the pictures to the sound.
WITHOUT_L1 = ("mocogan", "g3an", "phonicsgan_like")
for _name in WITHOUT_L1:
    SETTINGS[f"{_name}-l1"] = (*SETTINGS[_name], "loss.l1_weight=100")
# Ablation steps of the paper's Table 3, from one stream to the whole model; `a1-streams` is between two rows of the paper.
_A1 = (*_WINDOW, "order.shuffle=disc")
_A2 = ("model.cascade=false", "discriminator.video_d=whole")  # four streams, and shuffled orders for the generator
_ABLATION = {
    "a0": _WINDOW,
    "a1": _A1,
    "a1-streams": (*_A2, "order.shuffle=disc"),
    "a2": _A2,
    "a3": ("model.cascade=false",),
    "a4": (),
}
SETTINGS.update(_ABLATION)
# The same at the size of `tiny`: latent codes shrink in proportion; motion vectors of ten numbers stay.
_TINY_SIZES = {
    "mocogan": ("model.code_dim=16",),
    "g3an": ("model.code_dim=40",),
    "imaginator": ("model.gru_dim=192",),
    "phonicsgan_like": ("model.code_dim=16", "model.audio_dim=64", "model.gru_dim=96", "model.z_dim=16"),
}
for _name, _sizes in _TINY_SIZES.items():
    SETTINGS[f"{_name}-tiny"] = (
        *SETTINGS["tiny"],
        "model.g_output=direct",
        "model.audio_inject=bottleneck",
        *SETTINGS[_name],
        *_sizes,
    )
for _name in WITHOUT_L1:
    SETTINGS[f"{_name}-l1-tiny"] = (*SETTINGS[f"{_name}-tiny"], "loss.l1_weight=100")
for _name in _ABLATION:
    SETTINGS[f"{_name}-tiny"] = (*SETTINGS["tiny"], "model.audio_inject=bottleneck", *SETTINGS[_name])
SETTINGS["tuned-tiny"] = (*SETTINGS["tiny"], *SETTINGS["tuned"], "train.ema_half_life=400")


def preset(name: str) -> Config:
    """The configuration called `name`. Raises `OptionError` with the known names for an unknown one."""
    if name not in SETTINGS:
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise OptionError("--preset", name, ", ".join(SETTINGS) + hint)
    return override(Config(), SETTINGS[name])
