"""croissant.json: the dataset in the MLCommons Croissant vocabulary (1.0), for search engines and loaders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from phonics_data.dataset.layout import METADATA, MetadataRow, rates_text
from phonics_data.storage.workspace import file_sha256

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
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


def croissant_metadata(dataset: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """The content of croissant.json. Call it after the shards and metadata.parquet are written."""
    counts, options = description["counts"], description["options"]
    files = [_file(dataset / entry["name"], "application/x-tar", entry["sha256"]) for entry in description["shards"]]
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
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "version": f"{description['schema_version']}.0.0",
        "license": "The rights stay with the makers of the source videos.",
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
