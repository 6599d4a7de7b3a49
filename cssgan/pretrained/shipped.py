"""The models that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from cssgan.errors import CheckpointError
from cssgan.pretrained.exported import is_export

FOLDER = Path(__file__).parent
"""Contains one exported folder per model; the folder's name is the model's name."""
MAX_BYTES = 8_000_000
"""Maximum size of a model's folder, so that the package stays small."""


def shipped_models() -> tuple[str, ...]:
    """The names of the models, sorted."""
    return tuple(sorted(folder.name for folder in FOLDER.iterdir() if is_export(folder)))


def model_folder(model: Path | str) -> Path:
    """The folder of a model: a run or exported folder, or the name of a model that comes with the package.

    A folder of that name in the current directory takes precedence, and a text with a path separator is always a path.

    Raises:
        CheckpointError: no such folder, and no model of that name.
    """
    path = Path(model)
    if path.exists():
        return path
    if str(model) in shipped_models():
        return FOLDER / str(model)
    raise CheckpointError(
        f"{model}: contains no exported model or run, because there is no such folder, and no model of this name comes with "
        f"the package, which has: {', '.join(shipped_models())}; train first: cssgan train --shards DATASET --run {model}"
    )
