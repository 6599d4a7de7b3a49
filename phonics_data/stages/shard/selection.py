"""Which cut clips make the dataset, and which sources belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from phonics_data.quality.filters import FilterHit, drops, judge, seen_share
from phonics_data.quality.near_duplicates import Candidate, groups_of_sources, near_duplicates
from phonics_data.stages.shard.cutting import CutClip
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.types import Rejection, ScreenLetter


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedClip:
    """A clip that stays."""

    clip: CutClip
    flags: tuple[str, ...]
    """Reasons that mark it without leaving it out."""
    letter_seen_share: float | None
    duplicate_of: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    kept: list[CheckedClip]
    rejections: list[Rejection]
    groups: dict[str, str]
    """video id -> group of sources that must share a split."""


def select_clips(
    clips: Sequence[CutClip], options: ShardOptions, seen: Mapping[str, Sequence[ScreenLetter]] | None = None
) -> Selection:
    """Apply the rules of `phonics_data.quality.filters`, then look for near duplicates among what is left.

    Of two near duplicates the one of higher confidence counts as the first, whatever the order of `clips`.

    Args:
        seen: video id -> letters that were read on its screen; videos on whose screen nobody looked, or that showed
            none, are not in it.
    """
    # Bars that `pad` has put there say nothing about the source.
    rules = replace(options.filters, max_bar_share=1.0) if options.fit == "pad" else options.filters
    shares = {clip.segment.segment_id: _letter_seen_share(clip, options, seen or {}) for clip in clips}
    rejections: list[Rejection] = []
    passed: list[tuple[CutClip, tuple[str, ...]]] = []
    for clip in clips:
        findings = judge(
            clip.measures,
            float(clip.num_frames / options.frame_rate),
            clip.segment.confidence,
            rules,
            letter_seen_share=shares[clip.segment.segment_id],
        )
        fatal = [finding for finding in findings if drops(finding, rules)]
        if fatal:
            rejections.append(_rejection(clip, fatal[0], f"from {clip.start_seconds:.2f} s on"))
        else:
            passed.append((clip, tuple(finding.reason for finding in findings)))
    candidates = [
        Candidate(
            sample_id=clip.segment.segment_id,
            video_id=clip.segment.video_id,
            label=clip.segment.letter,
            hashes=clip.hashes,
        )
        for clip, _ in sorted(passed, key=lambda one: (-one[0].segment.confidence, one[0].segment.segment_id))
    ]
    found = near_duplicates(
        candidates, max_image_hash_bits=rules.max_image_hash_bits, max_audio_hash_bits=rules.max_audio_hash_bits
    )
    video_of = {candidate.sample_id: candidate.video_id for candidate in candidates}
    kept: list[CheckedClip] = []
    for clip, flags in passed:
        first, bits = found.get(clip.segment.segment_id, (None, 0))
        if first is not None and rules.drop_near_duplicates and video_of[first] != clip.segment.video_id:
            limit = rules.max_image_hash_bits + rules.max_audio_hash_bits
            finding = FilterHit(reason="near_duplicate", measured=float(bits), threshold=float(limit))
            rejections.append(_rejection(clip, finding, f"repeats {first}"))
        else:
            also = ("near_duplicate",) if first is not None else ()
            kept.append(
                CheckedClip(
                    clip=clip,
                    flags=(*flags, *also),
                    duplicate_of=first,
                    letter_seen_share=shares[clip.segment.segment_id],
                )
            )
    return Selection(kept=kept, rejections=rejections, groups=groups_of_sources(candidates, found))


def _letter_seen_share(
    clip: CutClip, options: ShardOptions, seen: Mapping[str, Sequence[ScreenLetter]]
) -> float | None:
    if options.label_set != "letters" or clip.segment.video_id not in seen:
        return None
    sightings = [
        (sight.start_seconds, sight.end_seconds)
        for sight in seen[clip.segment.video_id]
        if sight.letter == clip.segment.letter
    ]
    return round(seen_share(clip.start_seconds, clip.end_seconds, sightings), 3)


def _rejection(clip: CutClip, finding: FilterHit, detail: str) -> Rejection:
    return Rejection(
        stage="shard",
        item_id=clip.segment.segment_id,
        reason=finding.reason,
        measured=finding.measured,
        threshold=finding.threshold,
        detail=f"{clip.segment.letter}: {detail}",
    )
