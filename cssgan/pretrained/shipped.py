"""The models that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from cssgan.errors import CheckpointError
from cssgan.pretrained.exported import CONFIG_FILE, MODEL_CARD_FILE, WEIGHTS_FILE, is_export
from phonics_data.contract.address import is_address
from phonics_data.contract.hub import download_files, parse_repository

FOLDER = Path(__file__).parent
"""Contains one exported folder per model; the folder's name is the model's name."""
MAX_BYTES = 8_000_000
"""Maximum size of a model's folder, so that the package stays small."""


def shipped_models() -> tuple[str, ...]:
    """The names of the models, sorted."""
    return tuple(sorted(folder.name for folder in FOLDER.iterdir() if is_export(folder)))


def model_folder(model: Path | str) -> Path:
    """The folder of a model: a run or exported folder, the name of a model that comes with the package, or ``hf://user/name``, which
    is downloaded into the cache of huggingface_hub.

    A folder of that name in the current directory takes precedence, and a text with a path separator is always a path.

    Raises:
        CheckpointError: no such folder, and no model of that name.
        OptionError: an address of another form.
        RemoteError: the Hub has no such repository, or cannot be reached.
        DependencyError: huggingface-hub is not installed.
    """
    if is_address(model):
        return download_files(
            parse_repository(str(model), "model", "model"), (CONFIG_FILE, MODEL_CARD_FILE, WEIGHTS_FILE)
        )
    path = Path(model)
    if path.exists():
        return path
    if str(model) in shipped_models():
        return FOLDER / str(model)
    raise CheckpointError(
        f"{model}: contains no exported model or run, because there is no such folder, and no model of this name comes with "
        f"the package, which has: {', '.join(shipped_models())}; train first: cssgan train --shards DATASET --run {model}"
    )
