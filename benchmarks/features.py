"""Which features order corruptions: those of random networks, or those of EfficientNet-Lite2? For docs/decisions/0007.

Windows of 32 frames are divided into two disjoint sets. One is corrupted at rising strengths, and its distance to the other
should rise from the distance of the uncorrupted sets. This is repeated with random sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from cssgan.metrics import image_quality
from cssgan.metrics.distance_results import FeatureSets
from cssgan.metrics.distances import frechet_distance, kernel_distance
from cssgan.metrics.feature_extraction import frames_around_seams
from cssgan.metrics.features import Features, moments, real_scale
from cssgan.metrics.networks import lite2
from cssgan.metrics.networks.lite2 import Lite2
from cssgan.metrics.networks.random_features import rand2d, rand3d
from cssgan.metrics.videos import Floats, Ints, Videos
from phonics_data.errors import PhonicsDataError

FRAMES, SIZE = 32, 64
SELECTED = frames_around_seams(8)(FRAMES)[::2]
"""Every second frame that the metrics use, 4, 8, 15, 20, 24, 31: half the time."""
Corrupt = Callable[[Videos, Videos, float, np.random.Generator], Videos]
"""(window (T, H, W, 3), window of another video, strength, rng) -> window."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Windows:
    """Windows of videos.

    Args:
        videos_NTHWC: uint8 (N, 32, 64, 64, 3).
        sources: video of each window.
    """

    videos_NTHWC: Videos
    sources: tuple[str, ...]


def read_windows(paths: Sequence[Path], max_windows: int, seed: int = 0) -> Windows:
    """Windows without overlap of all videos in the given files and folders, evenly from each, at most `max_windows`."""
    files = [path for given in paths for path in (sorted(given.glob("*.mp4")) if given.is_dir() else [given])]
    of_each = max(1, -(-max_windows // max(1, len(files))))
    windows: list[Videos] = []
    sources: list[str] = []
    for path in files:
        frames = _frames(path)
        count = len(frames) // FRAMES
        for index in np.unique(np.linspace(0, count - 1, min(count, of_each)).astype(np.int64)) if count else []:
            windows.append(frames[index * FRAMES : (index + 1) * FRAMES])
            sources.append(path.name)
    if len(windows) < 32:
        raise PhonicsDataError(f"benchmarks features: got {len(windows)} windows of 32 frames, allowed: 32 or more")
    chosen = np.random.default_rng(seed).permutation(len(windows))[:max_windows]
    return Windows(videos_NTHWC=np.stack([windows[i] for i in chosen]), sources=tuple(sources[i] for i in chosen))


def _frames(path: Path) -> Videos:
    with av.open(str(path)) as container:
        frames: list[Any] = []
        for frame in container.decode(video=0):
            image: Image.Image = frame.to_image()
            if image.size != (SIZE, SIZE):
                image = image.resize((SIZE, SIZE), Image.Resampling.BOX)
            frames.append(np.asarray(image))
    return np.stack(frames)


def _blur(window: Videos, other: Videos, sigma: float, rng: np.random.Generator) -> Videos:
    del other, rng
    return _bytes(gaussian_filter(window.astype(np.float32), (0, sigma, sigma, 0)))


def _noise(window: Videos, other: Videos, levels: float, rng: np.random.Generator) -> Videos:
    del other
    return _bytes(window + levels * rng.standard_normal(window.shape, np.float32))


def _brightness(window: Videos, other: Videos, levels: float, rng: np.random.Generator) -> Videos:
    del other
    return _bytes(window.astype(np.float32) + levels * (1 if rng.random() < 0.5 else -1))


def _patch(window: Videos, other: Videos, percent: float, rng: np.random.Generator) -> Videos:
    side = round(SIZE * percent / 100.0)
    top, left = rng.integers(0, SIZE - side + 1, 2)
    out = window.copy()
    out[:, top : top + side, left : left + side] = other[:, top : top + side, left : left + side]
    return out


def _ghost(window: Videos, other: Videos, percent: float, rng: np.random.Generator) -> Videos:
    del rng
    return _bytes(window * (1.0 - percent / 100.0) + other * (percent / 100.0))


def _average(window: Videos, other: Videos, percent: float, rng: np.random.Generator) -> Videos:
    del other, rng
    mean = window.astype(np.float32).mean(axis=0, keepdims=True)
    return _bytes(window * (1.0 - percent / 100.0) + mean * (percent / 100.0))


def _freeze(window: Videos, other: Videos, percent: float, rng: np.random.Generator) -> Videos:
    del other, rng
    last = max(0, round(FRAMES * (1.0 - percent / 100.0)) - 1)
    return window[np.minimum(np.arange(FRAMES), last)]


def _shuffle(window: Videos, other: Videos, frames: float, rng: np.random.Generator) -> Videos:
    del other
    run = int(frames)
    return window[np.concatenate([start + rng.permutation(run) for start in range(0, FRAMES, run)])]


def _bytes(values: Any) -> Videos:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


CORRUPTIONS: Mapping[str, tuple[Corrupt, tuple[float, ...]]] = {
    "blur 0.5 / 1 / 2 pixels": (_blur, (0.5, 1.0, 2.0)),
    "noise 4 / 12 / 36 levels": (_noise, (4.0, 12.0, 36.0)),
    "brightness 5 / 15 / 40 levels": (_brightness, (5.0, 15.0, 40.0)),
    "patch of another video 15 / 30 / 60 % of the side": (_patch, (15.0, 30.0, 60.0)),
    "ghost of another video 5 / 15 / 40 %": (_ghost, (5.0, 15.0, 40.0)),
    "mixed with its mean over time 33 / 66 / 100 %": (_average, (33.0, 66.0, 100.0)),
    "frozen end 25 / 50 / 100 %": (_freeze, (25.0, 50.0, 100.0)),
    "shuffled in runs of 4 / 8 / 32": (_shuffle, (4.0, 8.0, 32.0)),
}
SPACES = ("rfd_2d", "imagenet_lite2", "rfd_3d", "imagenet_lite2_video")
Table = dict[tuple[str, str, int], tuple[float, float, float]]
"""(distance, corruption, N) -> share of ordered pairs of strengths, its 2.5 % and 97.5 % over the draws."""


def order_table(windows: Windows, counts: Sequence[int], draws: int, on_progress: Callable[[str], None]) -> Table:
    """Share of the pairs of strengths (0 to 3) whose distances are in the right order, for two disjoint sets of N windows.

    If there are fewer than 2 N windows, the two sets are the same windows (as in an evaluation, where each generated video
    belongs to a real one), and only the corrupted ones differ.
    """
    path = lite2.weights_path()
    if path is None:
        raise PhonicsDataError(f"benchmarks features: EfficientNet-Lite2: {lite2.NOT_INSTALLED}")
    network = Lite2(path)
    real = _features(network, windows.videos_NTHWC)
    others = _others(windows.sources)
    found: Table = {}
    for name, (corrupt, strengths) in CORRUPTIONS.items():
        on_progress(name)
        levels = [real]
        for strength in strengths:
            rng = np.random.default_rng(0)
            levels.append(_features(network, np.stack([
                corrupt(window, windows.videos_NTHWC[others[n]], strength, rng)
                for n, window in enumerate(windows.videos_NTHWC)
            ])))  # fmt: skip
        for count in counts:
            for space in SPACES:
                for kind, values in _shares(levels, space, count, draws).items():
                    low, high = np.quantile(values, [0.025, 0.975])
                    found[f"{space}_{kind}", name, count] = float(np.mean(values)), float(low), float(high)
    return found


def _others(sources: tuple[str, ...]) -> Ints:
    """For each window a window of another video."""
    rng = np.random.default_rng(1)
    names = np.array(sources)
    return np.array([rng.choice(np.flatnonzero(names != name)) for name in names])


def _features(network: Lite2, videos: Videos) -> dict[str, Floats]:
    """Features of each window: (N, frames, D) of frames, (N, D) of videos."""
    n = len(videos)
    frames = videos[:, SELECTED].reshape(-1, SIZE, SIZE, 3)
    image = np.concatenate([network(frames[at : at + 96]) for at in range(0, len(frames), 96)])
    random = np.concatenate([rand2d()(frames[at : at + 96]) for at in range(0, len(frames), 96)])
    groups = np.repeat(np.arange(n), len(SELECTED))
    both = Features(values_ND=image, extractor=network.name)
    sets = FeatureSets(real=both, fake=both, baselines={}, groups=groups, pool=None)
    return {
        "rfd_2d": random.reshape(n, len(SELECTED), -1),
        "imagenet_lite2": image.reshape(n, len(SELECTED), -1),
        "rfd_3d": np.concatenate([rand3d()(videos[at : at + 4]) for at in range(0, n, 4)]),
        "imagenet_lite2_video": sets.one_row_per_video_over_time().real.values_ND,
    }


def _shares(levels: list[dict[str, Floats]], space: str, count: int, draws: int) -> dict[str, list[float]]:
    total = len(levels[0][space])
    found: dict[str, list[float]] = {"fd": [], "kd": []}
    for draw in range(draws):
        order = np.random.default_rng([draw, count]).permutation(total)
        first, second = order[:count], order[count : 2 * count] if 2 * count <= total else order[:count]
        real = _as_features(levels[0][space][first])
        # Features of random networks have arbitrary scales (`random_feature_distance`).
        scale = real_scale(real) if space.startswith("rfd") else np.ones(real.values_ND.shape[1])
        real = real.scaled(scale)
        of_real = moments(real, ddof=1)
        values = np.empty((2, len(levels)))
        for at, level in enumerate(levels):
            other = _as_features(level[space][second]).scaled(scale)
            values[:, at] = frechet_distance(of_real, moments(other, ddof=1)), kernel_distance(real, other)
        for row, kind in enumerate(found):
            pairs = [values[row, i] < values[row, j] for j in range(len(levels)) for i in range(j)]
            found[kind].append(float(np.mean(pairs)))
    return found


def _as_features(values: Floats) -> Features:
    return Features(values_ND=np.ascontiguousarray(values.reshape(-1, values.shape[-1])), extractor="features")


SMALL = ("shift 1", "shift 2", "brightness 15", "noise 4", "blur 0.5")
LARGE = ("blur 2", "patch 30", "patch 60", "ghost 40", "another song")


def frame_order(windows: Windows) -> dict[str, dict[str, float]]:
    """How often a small change of a frame has a smaller distance than a large one: metric -> change -> share of frames.

    `SMALL` leaves what is shown as it is; `LARGE` does not.
    """
    path = lite2.weights_path()
    assert path is not None
    network, videos = Lite2(path), windows.videos_NTHWC
    others, at = _others(windows.sources), 20
    frames, other = videos[:, at], videos[others][:, at]

    def each(corrupt: Corrupt, strength: float) -> Videos:
        rng = np.random.default_rng(0)
        return np.stack([corrupt(frames[n : n + 1], other[n : n + 1], strength, rng)[0] for n in range(len(frames))])

    def shifted(pixels: int) -> Videos:
        return np.pad(frames, ((0, 0), (pixels, 0), (pixels, 0), (0, 0)), mode="edge")[:, :SIZE, :SIZE]

    changed = {
        "shift 1": shifted(1), "shift 2": shifted(2), "brightness 15": each(_brightness, 15.0), "noise 4": each(_noise, 4.0),
        "blur 0.5": each(_blur, 0.5), "blur 2": each(_blur, 2.0), "patch 30": each(_patch, 30.0),
        "patch 60": each(_patch, 60.0), "ghost 40": each(_ghost, 40.0), "another song": other,
    }  # fmt: skip
    metrics: dict[str, Callable[[Videos], Floats]] = {
        "imagenet_lite2_distance": lambda x: np.concatenate([
            network.distance(frames[i : i + 16], x[i : i + 16]) for i in range(0, len(x), 16)
        ]),
        "l1": lambda x: image_quality.l1(frames[:, None], x[:, None])[:, 0],
        "1 - ssim": lambda x: 1.0 - image_quality.ssim(frames[:, None], x[:, None])[:, 0],
    }  # fmt: skip
    found: dict[str, dict[str, float]] = {}
    for name, metric in metrics.items():
        value = {change: metric(x) for change, x in changed.items()}
        right = np.array([[value[small] < value[large] for large in LARGE] for small in SMALL])
        rng = np.random.default_rng(0)
        resampled = [right[:, :, rng.integers(0, len(frames), len(frames))].mean() for _ in range(500)]
        low, high = np.quantile(resampled, [0.025, 0.975])
        found[name] = {"all": float(right.mean()), "low": float(low), "high": float(high)}
        found[name] |= {small: float(right[i].mean()) for i, small in enumerate(SMALL)}
    return found


def markdown(table: Table, counts: Sequence[int]) -> str:
    """One line per distance, one column per corruption; a cell lists the shares at each N."""
    lines = ["| distance | " + " | ".join(CORRUPTIONS) + " | mean |", "| --- |" + " --- |" * (len(CORRUPTIONS) + 1)]
    for metric in dict.fromkeys(key[0] for key in table):
        cells = [" / ".join(f"{table[metric, name, count][0]:.2f}" for count in counts) for name in CORRUPTIONS]
        means = [np.mean([table[metric, name, count][0] for name in CORRUPTIONS]) for count in counts]
        lines.append(f"| {metric} | " + " | ".join(cells) + " | " + " / ".join(f"{m:.2f}" for m in means) + " |")
    return "\n".join(lines) + "\n"
