"""Selection of the clips of the dataset, and groups of sources that must share a split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from phonics_data.quality.filters import WHOLE_SHARE, FilterHit, apply_filters, is_dropped, shown_share, visible_share
from phonics_data.quality.near_duplicates import Candidate, duplicate_groups, near_duplicates
from phonics_data.stages.shard.cutting import CutClip
from phonics_data.stages.shard.focus import LetterPlace
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.types import Rejection


@dataclass(frozen=True, kw_only=True, slots=True)
class SelectedClip:
    """A clip of the dataset."""

    clip: CutClip
    flags: tuple[str, ...]
    """Reasons of the filters that flag it without dropping it."""
    letter_seen_share: float | None
    duplicate_of: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    clips: list[SelectedClip]
    rejections: list[Rejection]
    groups: dict[str, str]
    """video id -> group of sources that must share a split."""


def select_clips(
    clips: Sequence[CutClip],
    options: ShardOptions,
    places: Callable[[str, str], Sequence[LetterPlace] | None] | None = None,
    *,
    sources: Mapping[str, str] | None = None,
) -> Selection:
    """Apply the filters of `phonics_data.quality.filters`, then remove near duplicates.

    Of two near duplicates the one with the higher confidence is the original, whatever the order of `clips`.

    Args:
        places: (video id, letter) -> where the letter stands on the screen; None if OCR did not read the screen or
            detected no letters at all.
        sources: video id -> its source, for files that are parts of one source; others are sources of their own.
    """
    # With `pad`, black bars come from the scaling and not from the source.
    filters = replace(options.filters, max_bar_share=1.0) if options.fit == "pad" else options.filters
    seen_share = {clip.segment.segment_id: _letter_seen_share(clip, options, places) for clip in clips}
    rejections: list[Rejection] = []
    passed: list[tuple[CutClip, tuple[str, ...]]] = []
    for clip in clips:
        hits = apply_filters(
            clip.measures,
            float(clip.num_frames / clip.frame_rate),
            clip.segment.confidence,
            filters,
            letter_seen_share=seen_share[clip.segment.segment_id],
            counts=clip.counts,
        )
        dropping = next((hit for hit in hits if is_dropped(hit, filters)), None)
        if dropping is not None:
            rejections.append(
                _rejection(clip, dropping, f"starts at {clip.start_seconds:.2f} s{_hint(clip, dropping)}")
            )
        else:
            passed.append((clip, tuple(hit.reason for hit in hits)))
    candidates = [
        Candidate(
            sample_id=clip.segment.segment_id,
            video_id=clip.segment.video_id,
            label=clip.segment.letter,
            hashes=clip.hashes,
        )
        for clip, _ in sorted(passed, key=lambda pair: (-pair[0].segment.confidence, pair[0].segment.segment_id))
    ]
    duplicates = near_duplicates(
        candidates, max_image_hash_bits=filters.max_image_hash_bits, max_audio_hash_bits=filters.max_audio_hash_bits
    )
    source_of = {candidate.sample_id: _source(candidate.video_id, sources) for candidate in candidates}
    selected: list[SelectedClip] = []
    for clip, flags in passed:
        original, num_bits = duplicates.get(clip.segment.segment_id, (None, 0))
        is_other = original is not None and source_of[original] != source_of[clip.segment.segment_id]
        if filters.drop_near_duplicates and is_other:
            limit = filters.max_image_hash_bits + filters.max_audio_hash_bits
            hit = FilterHit(reason="near_duplicate", measured=float(num_bits), threshold=float(limit))
            rejections.append(_rejection(clip, hit, f"repeats {original}"))
        else:
            selected.append(
                SelectedClip(
                    clip=clip,
                    flags=flags if original is None else (*flags, "near_duplicate"),
                    duplicate_of=original,
                    letter_seen_share=seen_share[clip.segment.segment_id],
                )
            )
    return Selection(clips=selected, rejections=rejections, groups=duplicate_groups(candidates, duplicates))


def _source(video_id: str, sources: Mapping[str, str] | None) -> tuple[str, bool]:
    """An identifier of the source; the name of a group can equal the id of another video."""
    return (sources[video_id], True) if sources and video_id in sources else (video_id, False)


def _letter_seen_share(
    clip: CutClip, options: ShardOptions, places: Callable[[str, str], Sequence[LetterPlace] | None] | None
) -> float | None:
    """Share of the clip during which the whole letter is inside the picture, not only on the source's screen."""
    if options.label_set != "letters" or places is None:
        return None
    found = places(clip.segment.video_id, clip.segment.letter)
    if found is None:
        return None
    whole = [
        (place.start_seconds, place.end_seconds)
        for place in found
        if shown_share(place.box, clip.region) >= WHOLE_SHARE
    ]
    return round(visible_share(clip.start_seconds, clip.end_seconds, whole), 3)


def _hint(clip: CutClip, hit: FilterHit) -> str:
    if hit.reason != "low_confidence":
        return ""
    only_manifest = "manifest" in clip.segment.evidence.split(",")
    label = "; its letter is known from the manifest only" if only_manifest else ""
    return f"{label}; --min-confidence {math.floor(100 * hit.measured) / 100:g} keeps it"


def _rejection(clip: CutClip, hit: FilterHit, detail: str) -> Rejection:
    return Rejection(
        stage="shard",
        item_id=clip.segment.segment_id,
        reason=hit.reason,
        measured=hit.measured,
        threshold=hit.threshold,
        detail=f"{clip.segment.letter}: {detail}",
    )
