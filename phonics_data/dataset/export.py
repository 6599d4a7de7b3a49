"""A dataset as plain files, for eyes, editors and libraries that know no shards."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from phonics_data.contract.sample import Sample
from phonics_data.contract.shard import read_shard
from phonics_data.dataset.layout import MetadataRow, read_description, read_metadata, shard_paths
from phonics_data.errors import InputError
from phonics_data.executors.items import OnProgress
from phonics_data.media import write_mp4
from phonics_data.storage.tables import to_plain
from phonics_data.storage.workspace import atomic_path, write_bytes

Layout = Literal["folder", "huggingface"]


def export(dataset: Path, out: Path, layout: Layout = "folder", *, on_progress: OnProgress | None = None) -> int:
    """Write every clip as a file of its own; clips that are there already are kept.

    ``folder``: ``<split>/<class>/<sample>.mp4`` with ``.wav`` beside it, and ``clips.csv``.
    ``huggingface``: ``<split>/<sample>.mp4`` with ``<split>/metadata.jsonl``, which
    ``datasets.load_dataset("videofolder", data_dir=...)`` reads.

    Returns:
        The number of clips.

    Raises:
        DatasetError: `dataset` is none, or a broken one.
        InputError: `out` holds other files, or is one.
    """
    description = read_description(dataset)
    rows = {row.sample_id: row for row in read_metadata(dataset)}
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, allowed: a folder (it is made if it does not exist)")
    marker = out / ".phonics-data-export"
    if (
        out.exists()
        and any(out.iterdir())
        and not (marker.exists() and marker.read_text() == _mark(description, layout))
    ):
        raise InputError(f"{out}: the folder holds other files; give an empty or a new one")
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(marker, _mark(description, layout).encode())
    for done, sample in enumerate(_samples(dataset)):
        if on_progress:
            on_progress("export", done, len(rows))
        _write_clip(out / _place(rows[sample.key], layout), sample, with_wav=layout == "folder")
    if on_progress:
        on_progress("export", len(rows), len(rows))
    if layout == "folder":
        write_bytes(out / "clips.csv", _csv(list(rows.values())))
    else:
        for split in sorted({row.split for row in rows.values()}):
            mine = [row for row in rows.values() if row.split == split]
            write_bytes(out / split / "metadata.jsonl", _json_lines(mine))
    return len(rows)


def _mark(description: dict[str, object], layout: Layout) -> str:
    return f"{layout} {description['digest']}\n"


def _samples(dataset: Path) -> Iterator[Sample]:
    for path in shard_paths(dataset):
        yield from read_shard(path)


def _place(row: MetadataRow, layout: Layout) -> Path:
    # A label may be any text; in a path it must stay one harmless name.
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
    """The metadata as CSV, with the place of each file first.

    Without the prints: their digits would come back from a CSV as numbers.
    """
    text = io.StringIO(newline="")
    names = [name for name in to_plain(rows[0]) if not name.endswith("_print")]
    writer = csv.DictWriter(text, ["file_name", *names], extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({"file_name": _place(row, "folder").as_posix(), **to_plain(row)})
    return text.getvalue().encode()


def _json_lines(rows: list[MetadataRow]) -> bytes:
    """A JSON object a line, the form in which texts of digits stay texts."""
    lines = [{"file_name": _place(row, "huggingface").name, **to_plain(row)} for row in rows]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
