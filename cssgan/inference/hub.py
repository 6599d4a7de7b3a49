"""Models on the Hugging Face Hub: `HubGenerator` for Python, and the plan and upload of ``cssgan push``.

The token is that of ``hf auth login`` or of the variable ``HF_TOKEN``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin, snapshot_download

from cssgan.inference.export import LoadedGenerator, export, export_files, load_pretrained
from cssgan.pretrained.exported import (
    CONFIG_FILE,
    MODEL_CARD_FILE,
    WEIGHTS_FILE,
    StoredAs,
    WeightsKind,
    is_export,
    read_export,
)
from cssgan.pretrained.shipped import model_folder
from cssgan.storage.artifact import MAX_RECORD_BYTES
from phonics_data.contract.files import write_bytes
from phonics_data.contract.hub import HubRepository, parse_repository, repository_files, send_files
from phonics_data.contract.untrusted import read_json_object, read_text
from phonics_data.errors import OptionError

FILES = (WEIGHTS_FILE, CONFIG_FILE, MODEL_CARD_FILE)
_CHANGED = "\n\nThe weights were changed after this card was written; its metrics are those of the weights before.\n"


class HubGenerator(LoadedGenerator, PyTorchModelHubMixin):
    """A `LoadedGenerator` with the methods of `huggingface_hub.PyTorchModelHubMixin`.

        model = cssgan.HubGenerator.from_pretrained("user/name")    # or the folder of `cssgan export`
        model.push_to_hub("user/copy", private=True)
        model.save_pretrained("folder")

    The files are those of `cssgan export`: model.safetensors, config.json, README.md. Nothing is unpickled.

    Args:
        loaded: the model.
        record: content of its config.json.
        card: content of its README.md.
    """

    def __init__(self, loaded: LoadedGenerator, record: Mapping[str, Any], card: str) -> None:
        super().__init__(
            loaded.network, config=loaded.config, label_set=loaded.label_set, mel_stats=loaded.mel_stats, frame_rate=loaded.frame_rate,
            progress=loaded.progress, which=loaded.which,
        )  # fmt: skip
        self.record, self.card = dict(record), card

    def _save_pretrained(self, save_directory: Path) -> None:
        files = export_files(self, self.record, self.card)
        if sha256(files[WEIGHTS_FILE]).hexdigest() != self.record["sha256"]:
            files[MODEL_CARD_FILE] += _CHANGED.encode()
        for name, content in files.items():
            write_bytes(save_directory / name, content)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str | torch.device = "cpu",
        **_: object,
    ) -> HubGenerator:
        """Called by ``from_pretrained``.

        Args:
            map_location: device of the model.

        Raises:
            CheckpointError: a file is missing or damaged.
        """
        folder = Path(model_id)
        if not folder.is_dir():
            folder = Path(
                snapshot_download(
                    model_id, revision=revision, cache_dir=cache_dir, force_download=force_download,
                    local_files_only=local_files_only, token=token, allow_patterns=list(FILES),
                )
            )  # fmt: skip
        loaded = load_pretrained(folder, device=map_location)
        record = read_json_object(folder / CONFIG_FILE, max_bytes=MAX_RECORD_BYTES, any_numbers=True)
        card = folder / MODEL_CARD_FILE
        return cls(loaded, record, read_text(card, MAX_RECORD_BYTES) if card.exists() else "")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPush:
    """The files of a model and those that the repository has already.

    Args:
        files: name -> content.
        same: names of those that are there with this content.
    """

    repository: HubRepository
    files: dict[str, bytes]
    same: frozenset[str]
    license: str

    @property
    def num_bytes_to_send(self) -> int:
        return sum(len(content) for name, content in self.files.items() if name not in self.same)


def plan_push(
    model: Path | str,
    address: str,
    *,
    which: WeightsKind = "last",
    stored_as: StoredAs = "float32",
    about: Path | None = None,
    evaluation: Path | None = None,
) -> ModelPush:
    """Export a run, or check an export, and compare its files with those at ``hf://user/name``; nothing is sent.

    Args:
        model: run folder, folder of `export`, or name of a model that comes with the package.
        which, stored_as, about, evaluation: as of `export`; of runs only.

    Raises:
        OptionError: another form of address.
        CheckpointError, InputError: as of `load_generator` and `export`.
        RemoteError: the Hub cannot be reached.
    """
    repository = parse_repository(address, "model", "ADDRESS")
    folder = model_folder(model)
    given = {"--about": about, "--evaluation": evaluation}
    if is_export(folder) and (refused := [name for name, value in given.items() if value is not None]):
        raise OptionError(
            refused[0], str(given[refused[0]]), "for a run only; an exported model is sent with its own card"
        )
    with tempfile.TemporaryDirectory() as temporary:
        if not is_export(folder):
            out = Path(temporary) / "model"
            folder = export(folder, out, which=which, stored_as=stored_as, about=about, evaluation=evaluation)
        license_name = read_export(folder).license  # a damaged export is refused
        files = {name: (folder / name).read_bytes() for name in FILES}
    files[MODEL_CARD_FILE] = files[MODEL_CARD_FILE].replace(b"PATH_OF_THIS_FOLDER", repository.address.encode())
    there = repository_files(repository)
    same = frozenset(name for name, content in files.items() if name in there and there[name].has_content(content))
    return ModelPush(repository=repository, files=files, same=same, license=license_name or "other")


def push(plan: ModelPush, *, private: bool = False, on_file: Callable[[str], None] | None = None) -> None:
    """Send the files of a plan in one commit; nothing if all are there.

    Args:
        private: a new repository is private.
        on_file: called with the name of each file after its upload.

    Raises:
        RemoteError: the Hub refused it, or cannot be reached; the same call continues.
    """
    if files := {name: content for name, content in plan.files.items() if name not in plan.same}:
        send_files(plan.repository, files, message="Model of cssgan push", private=private, on_file=on_file)
