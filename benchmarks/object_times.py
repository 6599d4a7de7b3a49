"""Can an audio encoder tell from the sound when the object of a phrase comes? It alone is trained, without a decoder.

    clips = known_clips(resident.load(dataset, "train", SIZE), stats)
    net = train("conv", clips, num_classes=26, num_windows=12_000, seed=0)
    score(net, clips)

A generator has to learn the times of events and their pictures at once, and a step of it costs 20 times as much. Here the network
predicts for each frame whether the object is there, which the object's boxes say, from the sound, the first frame and the class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cssgan.data.batches import to_video
from cssgan.data.resident import Clip, ResidentSplit
from cssgan.data.windowing import standardize
from cssgan.errors import MetricError
from cssgan.metrics.events import EventSpec
from cssgan.models.encoders import AudioEncoder, ImageEncoder
from cssgan.models.object_picture import ObjectPlacer
from cssgan.types import MelStats

ENCODERS = ("linear", "conv")
SIZE = 32
STRIDE = 2
"""Every second frame, as `data.frame_stride=2`."""
NUM_FRAMES = 32
BATCH = 4
LEARNING_RATE = 2e-3
FEATURES, STATE, CODE = 96, 96, 32
"""Sizes of the preset `tiny`."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class KnownClip:
    """A clip whose object comes in it.

    Args:
        mels_TMU: standardized mel segments, every `STRIDE`-th frame.
        there_T: 1: the object is in the frame, 0: it is not, NaN: not known.
        first_HWC: first frame, uint8.
        frame_seconds: time between two entries of `there_T`.
    """

    clip: Clip
    mels_TMU: Floats
    there_T: Floats
    first_HWC: NDArray[np.uint8]
    label_index: int
    frame_seconds: float

    @property
    def onset(self) -> int | None:
        """First frame with the object after a frame without it; None: it is there from the start, never, or it is not known."""
        return _onset(self.there_T)


class TimesNetwork(nn.Module):
    """Encoders of sound and image, and the presence of `ObjectPlacer`."""

    def __init__(self, encoder: str, *, num_classes: int, num_bands: int, segment_hops: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.audio_encoder = AudioEncoder(
            num_bands=num_bands,
            segment_hops=segment_hops,
            segment=encoder,
            features=FEATURES,
            state=STATE,
            both_directions=True,
        )
        self.image_encoder = ImageEncoder(size=SIZE, width=16, code_dim=CODE, norm="group")
        self.placer = ObjectPlacer(audio=STATE, context=num_classes + CODE)

    def forward(self, mels_BTMU: Tensor, image_BCHW: Tensor, label_B: Tensor) -> Tensor:
        """Logits of the object's presence in each frame, (B, T)."""
        classes_BK = functional.one_hot(label_B, self.num_classes).float()
        code_BD, _ = self.image_encoder(image_BCHW)
        context_BE = torch.cat((classes_BK, code_BD), dim=1)
        return self.placer(self.audio_encoder(mels_BTMU), context_BE)[..., 4]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Times of objects that come, against the boxes.

    Args:
        within: share of the clips whose object comes within the tolerance of the event measures.
        median_seconds: median distance; infinity where the network shows no object that comes in half of the clips.
        num_clips: clips in which the object comes.
    """

    within: float
    median_seconds: float
    num_clips: int


def known_clips(store: ResidentSplit, stats: MelStats) -> list[KnownClip]:
    """The clips of a split with a box in any frame.

    Raises:
        MetricError: there is none.
    """
    found: list[KnownClip] = []
    for clip in store.clips:
        boxes_T4 = store.boxes_N4[clip.first_frame : clip.first_frame + clip.num_frames : STRIDE]
        is_known_T = ~np.isnan(boxes_T4).any(axis=1)
        if not (boxes_T4[is_known_T] > 0).any():
            continue
        there_T = np.where(is_known_T, (np.nan_to_num(boxes_T4) > 0).any(axis=1), np.nan).astype(np.float32)
        window = store.window(clip, 0, len(there_T), stride=STRIDE)
        found.append(
            KnownClip(
                clip=clip,
                mels_TMU=standardize(window.raw_mels_TMU, stats),
                there_T=there_T,
                first_HWC=window.frames_THWC[0],
                label_index=window.label_index,
                frame_seconds=float(STRIDE / clip.frame_rate),
            )
        )
    if not found:
        raise MetricError(
            "no clip of the split has a box of its object; rendered songs have them (phonics-data render)"
        )
    return found


def train(encoder: str, clips: Sequence[KnownClip], *, num_classes: int, num_windows: int, seed: int) -> TimesNetwork:
    """A network trained on random windows of `NUM_FRAMES` frames; the learning rate decays in the last third."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        bands, hops = clips[0].mels_TMU.shape[1:]
        net = TimesNetwork(encoder, num_classes=num_classes, num_bands=bands, segment_hops=hops)
    optim = torch.optim.Adam(net.parameters(), LEARNING_RATE, betas=(0.5, 0.999))
    num_steps = max(num_windows // BATCH, 1)
    for step in range(num_steps):
        for group in optim.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, 0.05 + 3.0 * (1.0 - step / num_steps))
        chosen = [clips[n] for n in rng.integers(len(clips), size=BATCH)]
        rows = [_window(clip, int(rng.integers(max(len(clip.there_T) - NUM_FRAMES, 0) + 1))) for clip in chosen]
        mels_BTMU, there_BT = (torch.from_numpy(np.stack(parts)) for parts in zip(*rows, strict=True))
        counts_BT = (~there_BT.isnan()).float()
        logits_BT = net(mels_BTMU, *_constant(chosen))
        losses_BT = functional.binary_cross_entropy_with_logits(logits_BT, there_BT.nan_to_num(), reduction="none")
        loss = (losses_BT * counts_BT).sum() / counts_BT.sum().clamp(min=1.0)
        optim.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 10.0)
        optim.step()
    return net.eval()


@torch.no_grad()
def score(net: TimesNetwork, clips: Sequence[KnownClip], *, other_sound: bool = False) -> Score:
    """How near the first frame in which the network shows the object is to the real one, over whole clips.

    Args:
        other_sound: control: with the sound of the next clip of the same song, cut or padded with its last segment.
    """
    found: list[int | None] = []
    coming = [clip for clip in clips if clip.onset is not None]
    for clip in coming:
        source = _next_of_song(clip, clips) if other_sound else clip
        frames = np.minimum(np.arange(len(clip.there_T)), len(source.mels_TMU) - 1)
        logits_BT = net(torch.from_numpy(source.mels_TMU[frames])[None], *_constant([clip]))
        found.append(_onset((logits_BT[0] > 0).numpy().astype(np.float32)))
    return _scored(coming, found)


def score_constant(clips: Sequence[KnownClip], training: Sequence[KnownClip]) -> Score:
    """Control: in every clip the median time of the training clips."""
    seconds = [clip.onset * clip.frame_seconds for clip in training if clip.onset is not None]
    coming = [clip for clip in clips if clip.onset is not None]
    if not seconds:
        return _scored(coming, [None] * len(coming))
    return _scored(coming, [round(float(np.median(seconds)) / clip.frame_seconds) for clip in coming])


def compare(
    training: ResidentSplit,
    held_out: ResidentSplit,
    *,
    num_windows: int,
    seeds: Sequence[int],
    encoders: Sequence[str] = ENCODERS,
) -> Iterator[tuple[str, ...]]:
    """The rows of the table, below `COLUMNS`, one for each encoder and seed, after that of the constant time."""
    stats = MelStats(mean=training.mean, std=training.std, clamp=4.0)
    train_clips, test_clips = known_clips(training, stats), known_clips(held_out, stats)
    num_classes = len(training.label_set.names)
    yield _row("constant time", "-", score_constant(test_clips, train_clips), score_constant(train_clips, train_clips))
    for encoder in encoders:
        for seed in seeds:
            net = train(encoder, train_clips, num_classes=num_classes, num_windows=num_windows, seed=seed)
            yield _row(encoder, str(seed), score(net, test_clips), score(net, train_clips))
            other = (score(net, clips, other_sound=True) for clips in (test_clips, train_clips))
            yield _row(f"{encoder}, sound of another clip", str(seed), *other)


COLUMNS = ("encoder", "seed", "held-out: within", "median, s", "clips", "training: within", "median, s", "clips")


def _row(name: str, seed: str, *scores: Score) -> tuple[str, ...]:
    cells = [(f"{one.within:.3f}", f"{one.median_seconds:.2f}", str(one.num_clips)) for one in scores]
    return (name, seed, *cells[0], *cells[1])


def _scored(clips: Sequence[KnownClip], found: Sequence[int | None]) -> Score:
    if not clips:
        raise MetricError("in no clip of the split an object comes; use longer clips or another split")
    distance = [
        float("inf") if frame is None or clip.onset is None else abs(frame - clip.onset) * clip.frame_seconds
        for clip, frame in zip(clips, found, strict=True)
    ]
    tolerance = EventSpec().tolerance_seconds
    return Score(
        within=float(np.mean([one <= tolerance + 1e-9 for one in distance])),
        median_seconds=float(np.median(distance)),
        num_clips=len(clips),
    )


def _onset(there_T: Floats) -> int | None:
    rises = np.flatnonzero((there_T[1:] == 1) & (there_T[:-1] == 0))
    return int(rises[0]) + 1 if len(rises) else None


def _next_of_song(clip: KnownClip, clips: Sequence[KnownClip]) -> KnownClip:
    of_song = [other for other in clips if other.clip.video_id == clip.clip.video_id]
    return of_song[(of_song.index(clip) + 1) % len(of_song)]


def _window(clip: KnownClip, start: int) -> tuple[Floats, Floats]:
    """Mel segments and presence of `NUM_FRAMES` frames; past the end the last segment is repeated and nothing is known."""
    frames = start + np.arange(NUM_FRAMES)
    is_valid = frames < len(clip.there_T)
    frames = np.minimum(frames, len(clip.there_T) - 1)
    return clip.mels_TMU[frames], np.where(is_valid, clip.there_T[frames], np.nan).astype(np.float32)


def _constant(clips: Sequence[KnownClip]) -> tuple[Tensor, Tensor]:
    frames_B1HWC = np.stack([clip.first_HWC for clip in clips])[:, None]
    images_BCHW = to_video(frames_B1HWC, torch.device("cpu"))[:, :, 0]
    return images_BCHW, torch.tensor([clip.label_index for clip in clips])
