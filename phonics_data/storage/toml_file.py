"""TOML files of options."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from phonics_data.errors import InputError


def read_toml(option: str, path: Path) -> dict[str, Any]:
    """The contents of the TOML file that was given as ``option path``.

    Raises:
        InputError: the file is missing, unreadable, or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{option} {path}: no such file") from None
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be read ({error.strerror}); expected a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{option} {path}: not TOML ({error})") from error
