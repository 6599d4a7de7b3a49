"""What a training step costs on this machine, beside the plain step of `benchmarks.reference_step`, in the same run.

Both steps take turns on the same batches, so that a machine that others use slows both alike; medians are reported.
The first steps, with compilation and recording, are timed apart.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from benchmarks.memory import peak_bytes
from benchmarks.reference_step import Reference, unsupported
from cssgan.config import Config, override
from cssgan.data.batches import ResidentLoader
from cssgan.data.loaders import resident_loader
from cssgan.data.prefetch import PrefetchLoader
from cssgan.data.resident import MEL_SPEC, Clip, ResidentSplit
from cssgan.models import factory
from cssgan.training import precision
from cssgan.training.cost import cost
from cssgan.training.cuda_graph import WARM_UP, RecordedStep
from cssgan.training.device import keep_freed_memory
from cssgan.training.step import Terms, TrainState, new_train_state, train_step
from cssgan.types import Batch, MelStats
from phonics_data.contract.labels import LETTERS

VARIANTS: dict[str, tuple[str, ...]] = {
    "eager fp32": ("compute.precision=fp32",),
    "bf16": ("compute.precision=bf16",),
    "bf16, channels last": ("compute.precision=bf16", "compute.channels_last=true"),
    "bf16, channels last, compiled": (
        "compute.precision=bf16",
        "compute.channels_last=true",
        "compute.compile=true",
    ),
    "bf16, channels last, compiled, graph": (
        "compute.precision=bf16",
        "compute.channels_last=true",
        "compute.compile=true",
        "compute.cuda_graph=true",
    ),
}
"""The rows of the table: each adds one option to the one before it."""
GPU_PRESETS = ("paper", "lean")
"""Those that the table measures on GPUs alone; ask for one by name to measure it on a CPU."""
CPU_BATCH, CPU_BATCH_LARGE = 8, 2
"""Videos a step on a CPU: at 32x32, and above."""
NUM_CLIPS, CLIP_FRAMES, FRAME_RATE = 64, 60, Fraction(25)
MIN_STEPS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One configuration on one device. Times are medians over `num_steps` steps."""

    preset: str
    variant: str
    device: str
    device_name: str
    batch_size: int
    threads: int
    num_steps: int
    step_ms: float
    """With its batch: waiting for data included."""
    videos_per_second: float
    data_wait_share: float
    """Share of a step that passes before its batch is on the device."""
    step_gflop: float
    tflop_per_second: float
    peak_tflop_per_second: float
    """What a large matrix product reaches here in the same precision."""
    share_of_peak: float
    memory_gb: float
    """GPU: the most that was allocated. CPU: the most that the process held, reference included. 10^9 bytes."""
    first_step_seconds: float
    """First step: allocation, choice of kernels, and compilation if any."""
    warm_up_seconds: float
    """The other steps before the clock starts; recording of the graph among them."""
    reference_step_ms: float | None
    """The plain eager float32 step; None where it does not know an option of the configuration."""
    speedup_over_reference: float | None
    speedup_per_step: list[float]
    """Lower quartile, median and upper quartile of reference over ours, pair by pair of neighbouring steps."""
    torch: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def measure(
    config: Config, *, name: str, variant: str = "as configured", device: torch.device, seconds: float = 20.0
) -> Measurement:
    """Time steps of `config` and of the reference, taking turns, for about `seconds` (at least `MIN_STEPS` each)."""
    if device.type == "cpu":
        keep_freed_memory()
    threads = torch.get_num_threads()
    if config.train.threads:
        torch.set_num_threads(config.train.threads)
    try:
        return _measure(config, name=name, variant=variant, device=device, seconds=seconds)
    finally:
        torch.set_num_threads(threads)


def _measure(config: Config, *, name: str, variant: str, device: torch.device, seconds: float) -> Measurement:
    loader, num_classes = synthetic_loader(config, device), len(LETTERS)
    step = trainer(config, device)
    reference = None if unsupported(config) else Reference(config, num_classes=num_classes, device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    clock = _Clock(device)
    first = clock.time(lambda: step(loader.batch(0), 0))
    warm_up = clock.time(lambda: [step(loader.batch(0), number) for number in range(1, WARM_UP + 2)])
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    if reference is not None:
        reference.step(loader.batch(0))
        reference.step(loader.batch(0))
    ours, waits, plain = _take_turns(clock, loader, config.train.batch_size, step, reference, seconds)
    loader.close()
    gflop = cost(config, num_classes=num_classes).flops / 1e9
    peak = _peak_tflops(device, torch.bfloat16 if precision.uses_bf16(config, device) else torch.float32)
    step_seconds = statistics.median(ours)
    ratios = [theirs / mine for theirs, mine in zip(plain, ours, strict=False)]
    return Measurement(
        preset=name,
        variant=variant,
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        batch_size=config.train.batch_size,
        threads=torch.get_num_threads(),
        num_steps=len(ours),
        step_ms=step_seconds * 1e3,
        videos_per_second=config.train.batch_size / step_seconds,
        data_wait_share=statistics.median(waits) / step_seconds,
        step_gflop=gflop,
        tflop_per_second=gflop / 1e3 / step_seconds,
        peak_tflop_per_second=peak,
        share_of_peak=gflop / 1e3 / step_seconds / peak,
        memory_gb=(memory or peak_bytes()) / 1e9,
        first_step_seconds=first,
        warm_up_seconds=warm_up,
        reference_step_ms=statistics.median(plain) * 1e3 if plain else None,
        speedup_over_reference=statistics.median(plain) / step_seconds if plain else None,
        speedup_per_step=statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios,
        torch=torch.__version__,
    )


Step = Callable[[Batch, int], Terms]


def trainer(config: Config, device: torch.device) -> Step:
    """New networks with their step as it is late in the run, where every term counts: (batch, number) -> terms."""
    torch.manual_seed(config.train.seed)
    if precision.uses_bf16(config, device):
        precision.check_convolutions(device)
    generator = factory.generator(config, num_classes=len(LETTERS)).to(device)
    discriminators = factory.discriminators(config, num_classes=len(LETTERS)).to(device)
    for network in (generator, discriminators):
        precision.lay_out(network, config)
    precision.compile_parts(generator, discriminators, config)
    return _stepper(new_train_state(config, generator, discriminators), config, device)


def _stepper(train_state: TrainState, config: Config, device: torch.device) -> Step:
    late, seen = config.loss.adv_start, config.train.num_videos // 2
    if config.compute.cuda_graph and device.type == "cuda":
        recorded = RecordedStep(train_state, config)
        return lambda batch, number: recorded(batch, num_steps=late + number, num_videos=seen)
    return lambda batch, number: train_step(train_state, batch, config, num_steps=late + number, num_videos=seen)


class _Clock:
    """Wall time of work that may go on in the background of its device."""

    def __init__(self, device: torch.device) -> None:
        self._gpu = device.type == "cuda"

    def now(self) -> float:
        if self._gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def time(self, work: Callable[[], object]) -> float:
        start = self.now()
        work()
        return self.now() - start


def _take_turns(
    clock: _Clock, loader: PrefetchLoader, size: int, step: Step, reference: Reference | None, seconds: float
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of our steps with their batches, of the batches alone, and of the reference's steps with theirs."""
    its_feed = PrefetchLoader(host=loader.host)  # of the same set, but each is ahead of its own step
    ours: list[float] = []
    waits: list[float] = []
    plain: list[float] = []
    end = time.perf_counter() + seconds
    while len(ours) < MIN_STEPS or time.perf_counter() < end:
        position = len(ours) * size
        start = clock.now()
        batch = loader.batch(position)
        there = clock.now()
        step(batch, len(ours))
        del batch  # as the training loop does
        ours.append(clock.now() - start)
        waits.append(there - start)
        if reference is not None:
            start = clock.now()
            reference.step(its_feed.batch(position))
            plain.append(clock.now() - start)
    its_feed.close()
    return ours, waits, plain


def synthetic_clips(num_clips: int, num_frames: int) -> tuple[Clip, ...]:
    """Short videos of all letters in turn, one after the other in a cache, each with the sound of `CLIP_FRAMES` frames."""
    num_hops = round(CLIP_FRAMES * 100 / FRAME_RATE)
    return tuple(
        Clip(
            key=f"clip-{number:06d}",
            video_id=f"video-{number}",
            label=LETTERS.names[number % len(LETTERS)],
            frame_rate=FRAME_RATE,
            num_frames=num_frames,
            first_frame=number * num_frames,
            num_hops=num_hops,
            first_hop=number * (num_hops + 2),
        )
        for number in range(num_clips)
    )


def synthetic_loader(config: Config, device: torch.device) -> PrefetchLoader:
    """The resident feed over short videos of noise."""
    rng = np.random.default_rng(0)
    clips = synthetic_clips(NUM_CLIPS, max(CLIP_FRAMES, config.data.num_frames))
    size, frames = config.data.size, sum(clip.num_frames for clip in clips)
    split = ResidentSplit(
        clips=clips,
        label_set=LETTERS,
        mean=0.0,
        std=1.0,
        frames_NHWC=rng.integers(256, size=(frames, size, size, 3), dtype=np.uint8),
        hops_HM=rng.standard_normal(
            (clips[-1].first_hop + clips[-1].num_hops + 2, MEL_SPEC.num_bands), dtype=np.float32
        ),
    )
    host = ResidentLoader(data=split, config=config, mel_stats=MelStats(mean=0.0, std=1.0, clamp=4.0), device=device)
    return resident_loader(host)


def _peak_tflops(device: torch.device, dtype: torch.dtype) -> float:
    """The best of a few large matrix products."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    clock = _Clock(device)
    best = min(clock.time(lambda: a @ b) for _ in range(6))
    return 2 * size**3 / best / 1e12


def _cpu_name() -> str:
    if sys.platform.startswith("linux"):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return sys.platform


def default_batch(config: Config, device: torch.device) -> int:
    """The preset's own batch on a GPU; on a CPU what leaves time for a few steps."""
    if device.type == "cuda":
        return config.train.batch_size
    return CPU_BATCH if config.data.size <= 32 else CPU_BATCH_LARGE


def table() -> list[tuple[str, Config, str]]:
    """What `python -m benchmarks step` measures when it is not told what: (preset, configuration, variant)."""
    from cssgan.presets import preset

    wanted = [(name, variant) for name in GPU_PRESETS for variant in VARIANTS] + [("tiny", "eager fp32")]
    return [(name, override(preset(name), VARIANTS[variant]), variant) for name, variant in wanted]
