"""Removal of secrets from every text that is logged or stored."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable

from phonics_data.contract.untrusted import split_address
from phonics_data.storage.public_text import without_secrets

HIDDEN = "[hidden]"
_QUERY = re.compile(r"(https?://[^\s'\"<>?]+)\?([^\s'\"<>]*)", re.IGNORECASE)
_HEADER = re.compile(r"(?i)\b((?:set-)?cookie|(?:proxy-)?authorization|x-goog-[\w-]+)(['\"]?\s*[:=]\s*)[^\n]+")
_KEPT_PARAMETERS = ("v", "list", "id")
_MIN_SECRET_CHARS = 5
"""Shorter values, such as a cookie with the value ``1``, occur in ordinary text and are not replaced."""


class Redactor:
    """Replaces known secrets and secret header values, and removes query strings, user names and parameters of addresses."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {
            form for secret in secrets for form in (secret, urllib.parse.quote(secret), urllib.parse.unquote(secret))
        }
        # The longest first: a secret may be a part of another one.
        self._secrets = sorted((form for form in forms if len(form) >= _MIN_SECRET_CHARS), key=len, reverse=True)

    def redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
        return without_secrets(_QUERY.sub(_without_query, text))


def _without_query(match: re.Match[str]) -> str:
    kept = [(name, value) for name, value in urllib.parse.parse_qsl(match[2]) if name in _KEPT_PARAMETERS]
    return match[1] + (f"?{urllib.parse.urlencode(kept)}" if kept else "")


def proxy_secrets(proxy: str) -> list[str]:
    """The user name and password of a proxy address, with the address parts that contain them."""
    if not proxy:
        return []
    parts = split_address(proxy if "://" in proxy else f"//{proxy.lstrip('/')}")
    whole = [proxy, parts.netloc] if parts.username or parts.password else []
    return whole + [part for part in (parts.username, parts.password) if part]
