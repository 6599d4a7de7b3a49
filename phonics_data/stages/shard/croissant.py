"""croissant.json: the dataset in the MLCommons Croissant vocabulary 1.1 with its responsible-AI fields (RAI 1.0), for search engines and
loaders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from phonics_data.dataset.layout import METADATA, VIDEOS, MetadataRow, has_shards, rates_text
from phonics_data.storage.workspace import file_sha256
from phonics_data.types import IMPORTED_EVIDENCE, REVIEW_EVIDENCE

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant_metadata(dataset: Path, rows: Sequence[MetadataRow], description: Mapping[str, Any]) -> dict[str, Any]:
    """The content of croissant.json. Call it after the shards and metadata.parquet are written.

    Args:
        rows: those of metadata.parquet.
        description: content of dataset.json.
    """
    counts, options = description["counts"], description["options"]
    shards = description["shards"] if has_shards(description) else ()
    files = [_file(dataset / entry["name"], "application/x-tar", entry["sha256"]) for entry in shards]
    files.append(_file(dataset / METADATA, "application/x-parquet", file_sha256(dataset / METADATA)))
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"short-videos-{description['digest'][:12]}",
        "description": (
            f"{counts['clips']} short videos of label set {description['label_set']['name']}, "
            f"{options['width']} x {options['height']} pixels at {rates_text(counts['clips_by_frame_rate'])} with mono "
            f"sound at {options['audio_rate_hz']} Hz, as WebDataset shards."
            f"{_pictures_text(counts.get('object_pictures_by_source', {}))}"
        ),
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "version": f"{description['schema_version']}.0.0",
        "license": "The rights stay with the makers of the source videos.",
        **_responsible_ai(rows, description),
        "distribution": files,
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "clips",
                "name": "clips",
                "description": "One record for each short video.",
                "key": {"@id": "clips/sample_id"},
                "field": [_field(name, data_type) for name, data_type in _columns()],
            }
        ],
    }


def _responsible_ai(rows: Sequence[MetadataRow], description: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the responsible-AI vocabulary, from what the build recorded. What it does not know, such as the time frame or the
    demographics of singers, is left out."""
    counts, options = description["counts"], description["options"]
    by_label = {name: number for name, number in counts["clips_by_label"].items() if number}
    missing = [name for name, number in counts["clips_by_label"].items() if not number]
    evidence = Counter(row.evidence for row in rows)
    imported = all(row.evidence in IMPORTED_EVIDENCE for row in rows)
    rejected = ", ".join(f"{reason} {number}" for reason, number in counts["rejections_by_reason"].items()) or "none"
    sources = ", ".join(f"{name} {number}" for name, number in sorted(evidence.items()))
    made_with = [f"{name} {version}" for name, version in description["made_with"].items()]
    return {
        "rai:dataCollection": (
            f"Clips were cut from {counts['videos']} source videos. {VIDEOS} lists each with its SHA-256, duration and language."
        ),
        "rai:dataCollectionType": "Existing datasets" if imported else "Secondary Data Analysis",
        "rai:dataCollectionRawData": "The source videos are not part of the dataset.",
        "rai:dataCollectionMissingData": f"Items that were left out, by reason: {rejected}. rejections.parquet has a row for each.",
        "rai:dataPreprocessingProtocol": [
            f"Frames are {options['width']} x {options['height']} pixels, fitted by {options['fit']}, at "
            f"{rates_text(counts['clips_by_frame_rate'])}; sound is mono at {options['audio_rate_hz']} Hz.",
            "Clips that miss a limit of the quality filters, and near duplicates, are dropped or flagged; dataset.json has all options.",
            "All clips of a source are in the same split.",
        ],
        "rai:dataAnnotationProtocol": (
            f"Labels and times were imported with the media and were not verified (clips by source: {sources})."
            if imported
            else f"Letters and times were found automatically, from captions, speech recognition and the screen (clips by source: {sources}). A "
            f"person reviewed {evidence[REVIEW_EVIDENCE]} of {len(rows)} clips. The column confidence has a value for each."
        ),
        "rai:machineAnnotationTools": made_with,
        "rai:dataLimitations": [
            "Labels and times can be wrong; see the columns evidence and confidence.",
            *([f"Classes without clips: {', '.join(missing)}."] if missing else []),
            *(["Whole frames are distorted to the shape of the clip."] if options["fit"] == "squash" else []),
        ],
        "rai:dataBiases": (
            f"From {min(by_label.values(), default=0)} to {max(by_label.values(), default=0)} clips per class; {counts['videos']} sources, whose "
            "voices, pictures and styles are those of the clips."
        ),
        "rai:dataUseCases": (
            "Training and evaluation of models that generate video from sound. Not for teaching children, and not for the recognition of persons."
        ),
        "rai:dataSocialImpact": (
            "Models that are trained on the clips can imitate the pictures and voices of the makers of the sources, who hold the rights."
        ),
        "rai:personalSensitiveInformation": (
            "Voices, and where the sources show them faces, of performers, who can be children. No names of persons are stored."
        ),
        "rai:dataReleaseMaintenancePlan": (
            f"A finished dataset is not changed: another build has another digest than {description['digest'][:16]}."
        ),
    }


def _file(path: Path, encoding: str, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": encoding,
        "sha256": sha256,
    }


def _field(name: str, data_type: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"clips/{name}",
        "name": name,
        "dataType": data_type,
        "source": {"fileObject": {"@id": METADATA}, "extract": {"column": name}},
    }


def _columns() -> list[tuple[str, str]]:
    """(column of metadata.parquet, its Croissant type)."""
    hints = get_type_hints(MetadataRow)
    types = {int: "sc:Integer", float: "sc:Float"}
    return [(field.name, types.get(hints[field.name], "sc:Text")) for field in fields(MetadataRow)]


def _pictures_text(pictures_by_source: Mapping[str, int]) -> str:
    number = sum(pictures_by_source.values())
    return (
        f" {number} of them have object.png, an RGBA picture of the object that appears in them, and object_boxes.npy, its box in each frame."
        if number
        else ""
    )
