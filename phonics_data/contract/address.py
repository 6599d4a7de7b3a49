"""Addresses of files: ``https://host/dataset``, ``s3://bucket/dataset``, ``hf://datasets/user/name``.

``http://`` and ``https://`` are read by the standard library, everything else by fsspec and the package of its file system. What an
address can contain of secrets, a user name with a password and the query of a signed one, is never shown (`shown`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from phonics_data.errors import DatasetError, DependencyError, OptionError, PhonicsDataError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SECRETS = re.compile(
    r"(?P<scheme>\w+://)(?:[^\s@:'\"<>]{0,100}:[^\s@'\"<>]{0,200}@|[^\s/@'\"<>]+@)?(?P<place>[^\s'\"<>?#]*)(?:[?#][^\s'\"<>]*)?"
)
USER_INFO = re.compile(r"(?<![^\s/@:'\"<>?&=])[^\s/@:'\"<>?&=]{1,100}:[^\s/@'\"<>]{1,200}@(?=[\w\[])")
"""``user:password@`` before a host, also outside of an address. Lengths are limited, so that long texts need linear time."""
HIDDEN = "[hidden]"
_SECRET_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
)
_MIN_SECRET_CHARS = 5
"""Shorter values occur in ordinary text and are not replaced."""
_TOKENS = re.compile(r"\bhf_\w{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{12,}")
_PACKAGES = {
    "s3": ("s3fs", "phonics-cssgan[cloud]"),
    "s3a": ("s3fs", "phonics-cssgan[cloud]"),
    "hf": ("huggingface-hub", "phonics-cssgan[cloud]"),
    "gs": ("gcsfs", "gcsfs"),
    "gcs": ("gcsfs", "gcsfs"),
    "http": ("aiohttp", "aiohttp"),
    "https": ("aiohttp", "aiohttp"),
}
"""Scheme -> (package that reads it, what pip installs)."""


def is_address(source: Path | str) -> bool:
    """Whether `source` is an address and not a path. A `pathlib.Path` never is: it has lost one of the two slashes."""
    return "://" in str(source)


def is_http(address: str) -> bool:
    return address.startswith(("http://", "https://"))


def shown(text: str) -> str:
    """`text` without credentials: its addresses have no user names, passwords and queries, and keys and tokens are hidden."""
    for name in _SECRET_VARIABLES:
        if len(value := os.environ.get(name, "")) >= _MIN_SECRET_CHARS:
            text = text.replace(value, HIDDEN)
    text = _TOKENS.sub(HIDDEN, text)
    return USER_INFO.sub("", _SECRETS.sub(lambda match: match["scheme"] + match["place"], text))


def local_path(text: str, option: str) -> Path:
    """`text` as a path. Raises `OptionError` for an address, from which pathlib would make a folder ``s3:``."""
    if is_address(text):
        raise not_local(text, option)
    return Path(text)


def not_local(text: str, option: str) -> OptionError:
    """The error for an address where only a path works."""
    return OptionError(
        option,
        shown(text),
        "a path on this machine; `phonics-data push` sends a finished dataset to an address",
    )


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        DependencyError: the package of the file system is not installed.
        DatasetError: fsspec knows no such file system.
    """
    from fsspec.core import url_to_fs

    scheme = _scheme(address)
    try:
        with remote_errors():
            return cast("tuple[Any, str]", url_to_fs(address))
    except ImportError as error:
        if scheme not in _PACKAGES:
            raise DependencyError(f"{scheme}:// cannot be read: {error}") from error
        raise missing_package(scheme) from error
    except ValueError as error:
        raise DatasetError(
            f"{shown(address)}: cannot be read ({shown(str(error))}); allowed: https://, s3://, gs://, hf:// and what else fsspec reads"
        ) from error


def missing_package(scheme: str) -> DependencyError:
    """The error for a scheme, such as ``hf``, whose package is not installed."""
    package, installed_by = _PACKAGES[scheme]
    return DependencyError(
        f"{scheme}:// needs the package {package}, which is not installed; run: pip install '{installed_by}'"
    )


def _scheme(address: str) -> str:
    match = _SCHEME.match(address)
    return match[1].lower() if match else ""


@contextmanager
def remote_errors() -> Generator[None]:
    """Turns the errors that the libraries of file systems have of their own, such as botocore's, into `OSError`; those about
    credentials into `PermissionError`."""
    try:
        yield
    except (OSError, ImportError, ValueError, PhonicsDataError):
        raise
    except Exception as error:
        kind = type(error).__name__
        words = shown(" ".join(str(error).split())[:300]) or kind
        raise (PermissionError if "Credentials" in kind or "Auth" in kind else OSError)(f"{kind}: {words}") from error
