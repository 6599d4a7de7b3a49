"""Removal of what does not belong into texts that are shown or published: secrets, local folders."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Collection
from pathlib import Path

_ADDRESS = re.compile(r"https?://[^\s'\"<>]+")
_SECRET_NAME = re.compile(
    r"sig|token|auth|passw|pwd|secret|credential|session|jwt|hmac|policy|(^|[_-])(key|sid|code)$|apikey|^x-(amz|goog)-",
    re.IGNORECASE,
)
"""Names of parameters of addresses whose values are secrets, e.g. ``lsig``, ``access_token``, ``api_key``."""
_RELATIVE_FILE = re.compile(r"(?:[^/\s:]+/)+[^/:]+\.\w{1,6}")
_FOLDERS = re.compile(r"(?<![\w.:/~])/(?:[^/\s:;,'\"()<>|]+/)+")


def without_secrets(text: str) -> str:
    """`text` whose addresses have no user names, passwords, tokens and signatures. Other parameters stay, since they can name
    the video."""
    return _ADDRESS.sub(lambda match: _plain_address(match[0]), text)


def _plain_address(address: str) -> str:
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        return address.partition("?")[0].rpartition("@")[2]
    query = "&".join(
        item for item in parts.query.split("&") if not _SECRET_NAME.search(urllib.parse.unquote(item.partition("=")[0]))
    )
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query)
    return plain.geturl() if plain != parts else address


def without_local_folders(text: str, folders: Collection[Path] = ()) -> str:
    """`text` in which absolute paths, and the relative path with which it begins, are only their last names.

    Args:
        folders: known folders; they are also found if their names contain spaces.
    """
    first, separator, rest = text.partition(": ")
    if separator and (
        first.startswith("/") or _RELATIVE_FILE.fullmatch(first)
    ):  # messages begin with the path that they are about
        text = f"{Path(first).name}: {rest}"
    for folder in sorted({str(folder.absolute()) for folder in folders}, key=len, reverse=True):
        if len(folder) > 1:
            text = text.replace(f"{folder}/", "")
    for folder in {str(folder) for folder in folders if not folder.is_absolute()}:
        text = re.sub(rf"(?<![\w./~-]){re.escape(folder)}/", "", text)
    return _FOLDERS.sub("", text)
