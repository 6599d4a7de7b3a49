"""dataset.json and README.md of a dataset: its description for programs and for people."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from phonics_data.contract.labels import label_set
from phonics_data.contract.records import to_plain
from phonics_data.contract.sample import SCHEMA_VERSION
from phonics_data.dataset.layout import MANIFEST, METADATA, MetadataRow, has_shards, hub_configuration, rates_text
from phonics_data.quality.split import used_splits
from phonics_data.stages.shard.options import ShardOptions
from phonics_data.types import IMPORTED_EVIDENCE, REVIEW_EVIDENCE, FetchedVideo, Rejection


def dataset_description(
    rows: Sequence[MetadataRow],
    rejections: Sequence[Rejection],
    options: ShardOptions,
    checksums: Mapping[str, str],
) -> dict[str, Any]:
    """The content of dataset.json; it depends on the clips and options only.

    Args:
        checksums: shard name -> SHA-256.
    """
    names = label_set(options.label_set, (row.label for row in rows)).names
    samples = Counter(row.shard for row in rows)
    num_bytes: Counter[str] = Counter()
    for row in rows:
        num_bytes[row.shard] += row.num_bytes
    digest = hashlib.sha256("\n".join(f"{checksums[name]}  {name}" for name in sorted(checksums)).encode()).hexdigest()
    return {
        "schema_version": SCHEMA_VERSION,
        "digest": digest,
        "label_set": {"name": options.label_set, "names": list(names)},
        "options": to_plain(options),
        "counts": {
            "clips": len(rows),
            "videos": len({row.video_id for row in rows}),
            "clips_by_split": {
                split: sum(row.split == split for row in rows) for split in used_splits(row.split for row in rows)
            },
            "clips_by_frame_rate": dict(Counter(str(row.frame_rate) for row in rows)),
            "clips_by_label": {name: sum(row.label == name for row in rows) for name in names},
            "object_pictures_by_source": dict(
                sorted(Counter(row.object_picture_source for row in rows if row.object_picture_source).items())
            ),
            "no_picture_by_reason": dict(
                sorted(Counter(row.no_picture_reason for row in rows if row.no_picture_reason).items())
            ),
            "seconds": round(sum(row.duration_seconds for row in rows), 3),
            "rejections_by_reason": dict(sorted(Counter(row.reason for row in rejections).items())),
        },
        "shards": [
            {"name": name, "sha256": checksums[name], "samples": samples[name], "bytes": num_bytes[name]}
            for name in sorted(checksums)
        ],
        "made_with": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of the packages that determine the bytes of a clip."""
    return {name: version(name) for name in ("phonics-cssgan", "av", "numpy", "soundfile", "soxr")}


def dataset_card(
    rows: Sequence[MetadataRow],
    videos: Sequence[FetchedVideo],
    description: Mapping[str, Any],
) -> str:
    """README.md of the dataset, in the form of a Hugging Face dataset card."""
    options, counts = description["options"], description["counts"]
    names: list[str] = description["label_set"]["names"]
    splits = used_splits(row.split for row in rows)
    table = [f"| class | {' | '.join(splits)} |", "| --- |" + " ---: |" * len(splits)]
    for name in names:
        numbers = [sum(row.label == name and row.split == split for row in rows) for split in splits]
        table.append(f"| {name.replace('|', chr(92) + '|')} | " + " | ".join(str(number) for number in numbers) + " |")
    rejected = [f"- {reason}: {number}" for reason, number in counts["rejections_by_reason"].items()] or ["- none"]
    flags = Counter(flag for row in rows for flag in row.flags.split(",") if flag)
    fits = ", ".join(f"{fit} {number}" for fit, number in sorted(Counter(row.fit for row in rows).items()))
    sources = [f"- `{video.video_id}`: {video.duration_seconds:.1f} s" for video in videos]
    size = "n<1K" if len(rows) < 1000 else "1K<n<10K" if len(rows) < 10_000 else "10K<n<100K"
    return "\n".join(
        [
            "---",
            "pretty_name: Short letter videos",
            "task_categories: [text-to-video, video-classification]",
            "tags: [webdataset, audio-to-video, phonics]",
            f"size_categories: [{size}]",
            "license: other",
            *_hub_header(description, [split for split in splits if counts["clips_by_split"][split]]),
            "---",
            "",
            "# Short letter videos",
            "",
            *([] if has_shards(description) else _rebuild_lines(description)),
            f"{counts['clips']} short videos ({counts['seconds'] / 60:.1f} minutes) from {counts['videos']} source "
            f"videos, {options['width']} x {options['height']} pixels at {rates_text(counts['clips_by_frame_rate'])} with "
            f"mono audio at {options['audio_rate_hz']} Hz. Digest: `{description['digest'][:16]}`.",
            "",
            "Each sample of a shard is "
            + (
                "`<key>.frames.npy` (uint8, frames x height x width x RGB)"
                if options["frames"] == "npy"
                else "`<key>.frames.mp4` (H.264)"
            )
            + ", `<key>.audio.flac` "
            "(16 bit, same duration as the frames) and `<key>.meta.json`. `metadata.parquet` has a row for each clip. "
            f"{_pictures_text(counts['object_pictures_by_source'])}All clips of a source are in the same split."
            + (
                " Each clip has the frame rate of its source (column `frame_rate`)."
                if options["frame_rate"] is None
                else ""
            ),
            "",
            "## Clips by class and split",
            "",
            *table,
            "",
            "## Sources",
            "",
            "The makers of the source videos hold the rights in video and audio; `videos.parquet` lists each source with "
            "its checksum. Redistribution of clips needs their permission.",
            "",
            *sources,
            "",
            "## Known limitations",
            "",
            (
                "Labels and times were imported with the media and are not verified. `evidence` in `metadata.parquet` gives "
                "their source."
                if all(row.evidence in IMPORTED_EVIDENCE for row in rows)
                else "Letters and times were found automatically. `evidence` and `confidence` in `metadata.parquet` give their "
                "sources and reliability. "
                f"A person reviewed {sum(row.evidence == REVIEW_EVIDENCE for row in rows)} of {len(rows)} clips "
                "(`evidence` is `review`)."
            ),
            "",
            f"- fit of the frames (clips): {fits}. `squash` shows whole frames, distorted to the shape of the clip.",
            *(f"- flagged, not dropped: {flag}: {number}" for flag, number in sorted(flags.items())),
            "",
            "Rejected items by reason (rows in `rejections.parquet`):",
            "",
            *rejected,
            "",
        ]
    )


def _hub_header(description: Mapping[str, Any], splits: Sequence[str]) -> list[str]:
    """Lines of the card's header by which the library `datasets` and the viewer of the Hub read the splits.

    The columns are listed, because the library otherwise takes them from the first samples and refuses shards in which some samples have an
    object picture and others have none.
    """
    if not has_shards(description):
        return ["configs:", "- config_name: default", f"  data_files: [{{split: clips, path: {METADATA}}}]"]
    options = description["options"]
    frames = f"{{array4_d: {{shape: [null, {options['height']}, {options['width']}, 3], dtype: uint8}}}}"
    columns = [
        f"{{name: frames.npy, dtype: {frames}}}" if options["frames"] == "npy" else "{name: frames.mp4, dtype: video}",
        "{name: audio.flac, dtype: audio}",
        f"{{name: meta.json, struct: [{', '.join(f'{{name: {name}, dtype: {kind}}}' for name, kind in _META_COLUMNS)}]}}",
        "{name: object.png, dtype: image}",
        "{name: object_boxes.npy, list: {list: float32}}",
        "{name: __key__, dtype: string}",
        "{name: __url__, dtype: string}",
    ]
    return [
        *hub_configuration(splits, "{split}-*.tar"),
        "dataset_info:",
        "  features:",
        *(f"  - {one}" for one in columns),
    ]


_META_COLUMNS = (
    ("key", "string"), ("label", "string"), ("label_set", "string"), ("object_word", "string"), ("object_word_source", "string"),
    ("video_id", "string"), ("group", "string"), ("start_seconds", "float64"), ("frame_rate", "string"), ("audio_rate_hz", "int64"),
    ("schema_version", "int64"),
)  # fmt: skip
"""(field of meta.json, its type in the library `datasets`)"""


def _rebuild_lines(description: Mapping[str, Any]) -> list[str]:
    return [
        f"**Tables only.** The clips are not here, because their makers hold the rights. `{MANIFEST}` names the videos, and `dataset.json` has all "
        "options; this builds the clips again from what the videos' sites allow you to fetch:",
        "",
        "```",
        f"phonics-data build {MANIFEST} --work work --out dataset",
        "```",
        "",
        f"With the same videos, options and versions (`made_with` in `dataset.json`) the shards have the digest `{description['digest'][:16]}` too.",
        "",
    ]


def _pictures_text(pictures_by_source: Mapping[str, int]) -> str:
    """One sentence about the object pictures, with a space at its end; empty if there are none."""
    if not pictures_by_source:
        return ""
    parts = ", ".join(f"`{source}` {number}" for source, number in pictures_by_source.items())
    return (
        f"{sum(pictures_by_source.values())} clips have `<key>.object.png`, the object that appears, RGBA at the size that it has in the source, transparent "
        f"around it (column `object_picture_source`: {parts}), and `<key>.object_boxes.npy`, its box in each frame (float32 (L, 4): left, top, right, "
        "bottom as fractions of the frame; zeros: not there, NaN: not known). "
    )
