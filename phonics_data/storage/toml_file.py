"""TOML files of options."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from phonics_data.contract.untrusted import check_values, read_text
from phonics_data.errors import InputError

MAX_TOML_BYTES = 1_000_000


def read_toml(option: str, path: Path) -> dict[str, Any]:
    """The contents of the TOML file that was given as ``option path``.

    Raises:
        InputError: the file is missing, unreadable, or not TOML.
    """
    try:
        values = tomllib.loads(read_text(path, MAX_TOML_BYTES))
        check_values(values)
    except FileNotFoundError:
        raise InputError(f"{option} {path}: no such file") from None
    except OSError as error:
        raise InputError(f"{option} {path}: cannot be read ({error.strerror}); expected a TOML file") from error
    except RecursionError:
        raise InputError(f"{option} {path}: not TOML of options (arrays or tables are nested too deeply)") from None
    except (ValueError, OverflowError) as error:  # also for numbers with thousands of digits
        raise InputError(f"{option} {path}: not TOML ({error})") from error
    return values
