"""Removal of what does not belong into texts that are shown or published: secrets, local folders."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Collection
from pathlib import Path

from phonics_data.contract.address import USER_INFO

_ADDRESS = re.compile(r"(?:\b[a-z][a-z0-9+.-]{0,20}:)?//[^\s'\"<>]+", re.IGNORECASE)
_MAX_NESTED = 3
"""Addresses in parameters of addresses that are read; deeper ones are removed."""
_PARAMETER = re.compile(r"(?P<begin>^|[&;#?])(?P<name>[^&;#?=]+)=(?P<value>[^&;#]*)")
_SECRET_NAME = re.compile(
    r"sig|token|auth|passw|pwd|secret|credential|session|jwt|hmac|policy|(^|[_-])(key|sid|code|tok|otp|pass|pw)$|hdnts|hdnea|apikey|^x-(amz|goog)-",
    re.IGNORECASE,
)
"""Names of parameters of addresses whose values are secrets, e.g. ``lsig``, ``access_token``, ``api_key``."""
_RELATIVE_FILE = re.compile(r"(?:[^/\s:]+/)+[^/:]+\.\w{1,6}")
_FOLDERS = re.compile(r"(?<![\w.:/~])/(?:[^/\s:;,'\"()<>|]+/)+")


def without_secrets(text: str) -> str:
    """`text` whose addresses, of any scheme, have no user names, passwords, tokens and signatures: in front of the host, in the
    query, in the fragment, in parameters of the path, and in addresses that are values of parameters. Other parameters stay, since
    they can name the video."""
    return _without_secrets(text, _MAX_NESTED)


def _without_secrets(text: str, depth: int) -> str:
    return USER_INFO.sub("", _ADDRESS.sub(lambda match: _plain_address(match[0], depth), text))


def _plain_address(address: str, depth: int) -> str:
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError:
        scheme, slashes, rest = address.partition("//")
        return scheme + slashes + re.split("[?#;]", rest)[0].rpartition("@")[2]
    path, semicolon, parameters = parts.path.partition(";")
    plain = parts._replace(
        netloc=parts.netloc.rpartition("@")[2],
        path=path + _plain_parameters(semicolon + parameters, depth),
        query=_plain_parameters(parts.query, depth),
        fragment=_plain_parameters(parts.fragment, depth),
    )
    return plain.geturl() if plain != parts else address


def _plain_parameters(text: str, depth: int) -> str:
    """Parameters of an address, divided by ``&`` or ``;``, without those that are secret."""

    def plain(match: re.Match[str]) -> str:
        name, value = urllib.parse.unquote(match["name"]), urllib.parse.unquote(match["value"])
        if _SECRET_NAME.search(name) or ("//" in value and depth == 0):
            return ""
        if (shown := _without_secrets(value, depth - 1)) != value:
            return f"{match['begin']}{match['name']}={urllib.parse.quote(shown, safe='/:')}"
        return match[0]

    found = _PARAMETER.sub(plain, text)
    return found if found == text else found.removeprefix("&") if not text.startswith((";", "&")) else found


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
