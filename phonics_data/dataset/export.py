"""Export of a dataset as plain files, for people, video editors and libraries without shard support."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Literal

from phonics_data.contract.files import atomic_path, remove_leftovers, write_bytes
from phonics_data.contract.records import to_plain
from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import read_shard
from phonics_data.dataset.layout import (
    CARD,
    METADATA,
    MetadataRow,
    hub_configuration,
    read_description,
    read_metadata,
    shard_paths,
)
from phonics_data.errors import DatasetError, InputError
from phonics_data.executors.items import OnProgress
from phonics_data.media import write_mp4
from phonics_data.quality.split import SPLITS

Layout = Literal["folder", "huggingface"]
_CARD_TEXT = (
    "# Short letter videos",
    "",
    "Exported by `phonics-data export`. `datasets.load_dataset` with the path of this folder reads the splits above; the split of the",
    "folder `unseen-styles` is called `unseen_styles` there.",
)


def export(dataset: Path, out: Path, layout: Layout = "folder", *, on_progress: OnProgress | None = None) -> int:
    """Write every clip to its own file; existing clips are kept.

    * ``folder``: ``<split>/<class>/<sample>.mp4`` and ``.wav``, and ``clips.csv``.
    * ``huggingface``: ``<split>/<sample>.mp4``, ``<split>/metadata.jsonl``, and a README.md that names the splits for
      ``datasets.load_dataset(out)``.

    Returns:
        The number of clips.

    Raises:
        DatasetError: `dataset` is not a dataset, or damaged; its shards and metadata.parquet differ in their clips, or in
            the number of frames or samples of one.
        InputError: `out` is a file or contains other files.
    """
    description = read_description(dataset)
    rows = {row.sample_id: row for row in read_metadata(dataset)}
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, allowed: a folder (created if it does not exist)")
    remove_leftovers(out)
    marker, marker_text = out / ".phonics-data-export", f"{layout} {description['digest']}\n"
    if out.exists() and any(out.iterdir()) and not (marker.exists() and marker.read_text() == marker_text):
        raise InputError(f"{out}: the folder contains other files; give an empty or a new one")
    write_bytes(marker, marker_text.encode())
    missing = set(rows)
    for done, sample in enumerate(sample for path in shard_paths(dataset) for sample in read_shard(path)):
        if on_progress:
            on_progress("export", done, len(rows))
        row = rows.get(sample.key)
        found = (sample.num_frames, int(sample.audio_N.size))
        if row is None or found != (row.num_frames, row.num_audio_samples):
            listed = "no such clip" if row is None else f"{row.num_frames} frames and {row.num_audio_samples} samples"
            raise DatasetError(
                f"{dataset}: clip {sample.key} has {found[0]} frames and {found[1]} samples of sound, {METADATA} lists "
                f"{listed}; run `phonics-data verify {dataset} --repair --work WORK`"
            )
        missing.discard(sample.key)
        _write_clip(out / _relative_path(row, layout), sample, with_wav=layout == "folder")
    if missing:
        raise DatasetError(
            f"{dataset}: {len(missing)} of {len(rows)} clips of {METADATA} are in no shard "
            f"({', '.join(sorted(missing)[:3])}, ...); run `phonics-data verify {dataset} --repair --work WORK`"
        )
    if on_progress:
        on_progress("export", len(rows), len(rows))
    if layout == "folder":
        write_bytes(out / "clips.csv", _csv(list(rows.values())))
    else:
        splits = [split for split in SPLITS if any(row.split == split for row in rows.values())]
        card = ["---", *hub_configuration(splits, "{split}/**"), "---", "", *_CARD_TEXT]
        write_bytes(out / CARD, "".join(f"{line}\n" for line in card).encode())
        for split in splits:
            in_split = [row for row in rows.values() if row.split == split]
            write_bytes(out / split / "metadata.jsonl", _json_lines(in_split))
    return len(rows)


def _relative_path(row: MetadataRow, layout: Layout) -> Path:
    # A label can be any text; in a path it must be one safe name.
    label = "".join(c if c.isalnum() or c in "-_ " else "_" for c in row.label) or "_"
    name = f"{row.sample_id}.mp4"
    return Path(row.split, label, name) if layout == "folder" else Path(row.split, name)


def _write_clip(path: Path, sample: Sample, *, with_wav: bool) -> None:
    import soundfile

    if not path.exists():
        write_mp4(path, sample.frames_LHWC, sample.frame_rate, sample.audio_N, sample.audio_rate_hz)
    wav = path.with_suffix(".wav")
    if with_wav and not wav.exists():
        with atomic_path(wav) as temporary:
            soundfile.write(temporary, sample.audio_N, sample.audio_rate_hz, subtype="PCM_16")


def _csv(rows: list[MetadataRow]) -> bytes:
    """The metadata as CSV, with the path of each file in the first column.

    The hashes are left out: a CSV reader could parse them as numbers.
    """
    text = io.StringIO(newline="")
    names = [name for name in to_plain(rows[0]) if not name.endswith("_hash")]
    writer = csv.DictWriter(text, ["file_name", *names], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({"file_name": _relative_path(row, "folder").as_posix(), **to_plain(row)})
    return text.getvalue().encode()


def _json_lines(rows: list[MetadataRow]) -> bytes:
    """One JSON object per line."""
    lines = [{"file_name": _relative_path(row, "huggingface").name, **to_plain(row)} for row in rows]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
