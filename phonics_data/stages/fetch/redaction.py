"""Keeping what belongs to the user, and what opens doors, out of everything that is written."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Iterable

HIDDEN = "[hidden]"
_QUERY = re.compile(r"(https?://[^\s'\"<>?]+)\?([^\s'\"<>]*)")
_USER_INFO = re.compile(r"(\w+://)[^\s/@'\"]+@")
_HEADER = re.compile(r"(?i)\b((?:set-)?cookie|(?:proxy-)?authorization|x-goog-[\w-]+)(['\"]?\s*[:=]\s*)[^\n]+")
_KEPT_PARAMETERS = ("v", "list", "id")
_MIN_SECRET_CHARS = 5
"""Shorter values, such as a cookie that says ``1``, would blot out half of every text."""


class Redactor:
    """Takes known secrets, signed addresses, user names in addresses, and header values out of a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {
            form for secret in secrets for form in (secret, urllib.parse.quote(secret), urllib.parse.unquote(secret))
        }
        # The longest first: a secret may be a part of another one.
        self._known = sorted((one for one in known if len(one) >= _MIN_SECRET_CHARS), key=len, reverse=True)

    def clean(self, text: str) -> str:
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        text = _HEADER.sub(rf"\1\2{HIDDEN}", text)
        text = _USER_INFO.sub(rf"\1{HIDDEN}@", text)
        return _QUERY.sub(_without_query, text)


def _without_query(match: re.Match[str]) -> str:
    kept = [(name, value) for name, value in urllib.parse.parse_qsl(match[2]) if name in _KEPT_PARAMETERS]
    return match[1] + (f"?{urllib.parse.urlencode(kept)}" if kept else "")


def secrets_of_proxy(proxy: str) -> list[str]:
    """The address of a proxy with its user name and password, whole and in parts."""
    if not proxy:
        return []
    parts = urllib.parse.urlsplit(proxy if "://" in proxy else f"//{proxy}")
    whole = [proxy, parts.netloc] if parts.username or parts.password else []
    return whole + [part for part in (parts.username, parts.password) if part]
