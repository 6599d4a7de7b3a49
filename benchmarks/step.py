"""Time and memory of a training step on this machine.

Medians are reported. The first steps, with compilation and CUDA graph capture, are timed separately.
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
from cssgan.config import Config, object_size, override
from cssgan.data.batches import ResidentLoader
from cssgan.data.loaders import resident_loader
from cssgan.data.prefetch import PrefetchLoader
from cssgan.data.resident import MEL_SPEC, Clip, ResidentSplit
from cssgan.models import factory
from cssgan.training import precision
from cssgan.training.cost import step_cost
from cssgan.training.cuda_graph import WARM_UP_STEPS, CudaGraphStep
from cssgan.training.device import keep_freed_memory
from cssgan.training.step import Terms, new_train_state, train_step
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
"""Rows of the table; each adds one option to the previous one."""
GPU_PRESETS = ("paper", "lean")
"""Presets that the table measures only on GPUs; select one with --preset to measure it on a CPU."""
CPU_BATCH, CPU_BATCH_LARGE = 8, 2
"""Videos per step on a CPU: at 32x32, and at larger sizes."""
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
    """Including the wait for its batch."""
    videos_per_second: float
    data_wait_share: float
    """Fraction of the step time before the batch is on the device."""
    step_gflop: float
    tflop_per_second: float
    peak_tflop_per_second: float
    """Rate of a large matrix product in the same precision."""
    share_of_peak: float
    memory_gb: float
    """GPU: peak of allocated memory. CPU: peak resident memory of the process. 10^9 bytes."""
    first_step_seconds: float
    """First step: memory allocation, kernel selection, and compilation if enabled."""
    warm_up_seconds: float
    """The other steps before the measurement, including CUDA graph capture."""
    torch: str

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def measure(
    config: Config, *, name: str, variant: str = "as configured", device: torch.device, seconds: float = 20.0
) -> Measurement:
    """Time steps of `config` for about `seconds` (at least `MIN_STEPS` steps)."""
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
    loader = synthetic_loader(config, device)
    step = build_step(config, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    clock = _Clock(device)
    first = clock.time(lambda: step(loader.batch(0), 0))
    warm_up = clock.time(lambda: [step(loader.batch(0), number) for number in range(1, WARM_UP_STEPS + 2)])
    memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    step_times, wait_times = _time_steps(clock, loader, config.train.batch_size, step, seconds)
    loader.close()
    gflop = step_cost(config, num_classes=len(LETTERS)).flops / 1e9
    peak = _peak_tflops(device, torch.bfloat16 if precision.uses_bf16(config, device) else torch.float32)
    step_seconds = statistics.median(step_times)
    return Measurement(
        preset=name,
        variant=variant,
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        batch_size=config.train.batch_size,
        threads=torch.get_num_threads(),
        num_steps=len(step_times),
        step_ms=step_seconds * 1e3,
        videos_per_second=config.train.batch_size / step_seconds,
        data_wait_share=statistics.median(wait_times) / step_seconds,
        step_gflop=gflop,
        tflop_per_second=gflop / 1e3 / step_seconds,
        peak_tflop_per_second=peak,
        share_of_peak=gflop / 1e3 / step_seconds / peak,
        memory_gb=(memory or peak_bytes()) / 1e9,
        first_step_seconds=first,
        warm_up_seconds=warm_up,
        torch=torch.__version__,
    )


Step = Callable[[Batch, int], Terms]


def build_step(config: Config, device: torch.device) -> Step:
    """New networks with their training step, at a position where all losses are active: (batch, number) -> terms."""
    torch.manual_seed(config.train.seed)
    if precision.uses_bf16(config, device):
        precision.check_convolutions(device)
    generator = factory.generator(config, num_classes=len(LETTERS)).to(device)
    discriminators = factory.discriminators(config, num_classes=len(LETTERS)).to(device)
    for network in (generator, discriminators):
        precision.set_memory_format(network, config)
    precision.compile_networks(generator, discriminators, config)
    train_state = new_train_state(config, generator, discriminators)
    start, seen = config.loss.adv_start, config.train.num_videos // 2
    if config.compute.cuda_graph and device.type == "cuda":
        captured = CudaGraphStep(train_state, config)
        return lambda batch, number: captured(batch, num_steps=start + number, num_videos=seen)
    return lambda batch, number: train_step(train_state, batch, config, num_steps=start + number, num_videos=seen)


class _Clock:
    """Wall time, synchronized with the GPU."""

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


def _time_steps(
    clock: _Clock, loader: PrefetchLoader, batch_size: int, step: Step, seconds: float
) -> tuple[list[float], list[float]]:
    """Seconds of the steps with their batches, and of waiting for the batches."""
    step_times: list[float] = []
    wait_times: list[float] = []
    end = time.perf_counter() + seconds
    while len(step_times) < MIN_STEPS or time.perf_counter() < end:
        start = clock.now()
        batch = loader.batch(len(step_times) * batch_size)
        loaded = clock.now()
        step(batch, len(step_times))
        del batch  # as in the training loop
        step_times.append(clock.now() - start)
        wait_times.append(loaded - start)
    return step_times, wait_times


def synthetic_clips(num_clips: int, num_frames: int) -> tuple[Clip, ...]:
    """Clips of all letters in turn, contiguous in a cache, each with the audio of `CLIP_FRAMES` frames."""
    num_hops = round(CLIP_FRAMES * 100 / FRAME_RATE)
    return tuple(
        Clip(
            key=f"clip-{number:06d}",
            video_id=f"video-{number}",
            label=LETTERS.names[number % len(LETTERS)],
            frame_rate=FRAME_RATE,
            num_frames=num_frames,
            first_frame=number * num_frames,
            start_seconds=0.0,
            object_word="",
            num_hops=num_hops,
            first_hop=number * (num_hops + 2),
            object_row=0,
        )
        for number in range(num_clips)
    )


def synthetic_loader(config: Config, device: torch.device) -> PrefetchLoader:
    """The resident loader over clips of noise."""
    rng = np.random.default_rng(0)
    clips = synthetic_clips(NUM_CLIPS, max(CLIP_FRAMES, config.source_frames))
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
        objects_NHWC=np.zeros((1, object_size(size), object_size(size), 4), np.uint8),
        boxes_N4=np.full((frames, 4), np.nan, np.float32),
    )
    host = ResidentLoader(data=split, config=config, mel_stats=MelStats(mean=0.0, std=1.0, clamp=4.0), device=device)
    return resident_loader(host)


def _peak_tflops(device: torch.device, dtype: torch.dtype) -> float:
    """The best rate of several large matrix products."""
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
    """The preset's batch size on a GPU; a smaller one on a CPU."""
    if device.type == "cuda":
        return config.train.batch_size
    return CPU_BATCH if config.data.size <= 32 else CPU_BATCH_LARGE


def table() -> list[tuple[str, Config, str]]:
    """(preset, configuration, variant) of each row of `python -m benchmarks step` without --preset."""
    from cssgan.presets import preset

    wanted = [(name, variant) for name in GPU_PRESETS for variant in VARIANTS] + [("tiny", "eager fp32")]
    return [(name, override(preset(name), VARIANTS[variant]), variant) for name, variant in wanted]
