"""Secrets are removed from texts and from info.json."""

from __future__ import annotations

import pytest

from phonics_data.stages.fetch.info_json import strip_info
from phonics_data.stages.fetch.redaction import HIDDEN, Redactor, proxy_secrets

PROXY = "http://anna:p%40ss-word@proxy.example:8080"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Proxy map: {{'all': '{PROXY}'}}", f"Proxy map: {{'all': '{HIDDEN}'}}"),
        ("password p@ss-word was refused", f"password {HIDDEN} was refused"),
        ("cookie value tok3n-from-jar here", f"cookie value {HIDDEN} here"),
        ("send: Cookie: SID=abc; HSID=def\nnext line", f"send: Cookie: {HIDDEN}\nnext line"),
        ("'Authorization': 'SAPISIDHASH 1_2'", f"'Authorization': {HIDDEN}"),
        ("at https://bob:secret@example.org/v", "at https://example.org/v"),
        (
            'Invoking http downloader on "https://rr1.googlevideo.com/videoplayback?expire=1&sig=AAA&id=x1"',
            'Invoking http downloader on "https://rr1.googlevideo.com/videoplayback?id=x1"',
        ),
        (
            "https://www.youtube.com/watch?v=hq3yfQnllfQ&pp=XYZ was opened",
            "https://www.youtube.com/watch?v=hq3yfQnllfQ was opened",
        ),
        ("nothing to hide in 1 of 2", "nothing to hide in 1 of 2"),
    ],
)
def test_redacted_texts(text: str, expected: str) -> None:
    redactor = Redactor([*proxy_secrets(PROXY), "tok3n-from-jar", "1", ""])
    assert redactor.redact(text) == expected


def test_proxy_without_password_is_not_secret() -> None:
    assert proxy_secrets("http://proxy.example:8080") == []
    assert proxy_secrets("") == []


@pytest.mark.parametrize("address", ["http://anna:w0rd@host:1", "//anna:w0rd@host:1", "anna:w0rd@host:1"])
def test_password_of_a_proxy_is_secret_in_every_form(address: str) -> None:
    assert "w0rd" not in Redactor(proxy_secrets(address)).redact(f"proxy = {address}")


def test_info_json_keeps_only_allowed_fields() -> None:
    info = {
        "id": "x",
        "title": "Song",
        "url": "https://cdn/?sig=S3CRET",
        "formats": [{"url": "S3CRET"}],
        "http_headers": {"Cookie": "S3CRET"},
        "cookies": "S3CRET",
        "requested_downloads": [{"filepath": "/home/S3CRET/x.mp4", "__private": "S3CRET"}],
        "requested_formats": [{"format_id": "133", "url": "S3CRET", "cookies": "S3CRET", "height": 240}],
        "subtitles": {"en": [{"url": "S3CRET"}]},
        "automatic_captions": {"de": [{"url": "S3CRET"}]},
        "a_future_field": "S3CRET",
        "chapters": [{"title": "A", "start_time": 0.0}],
    }
    kept = strip_info(info)
    assert "S3CRET" not in str(kept)
    assert kept["fetched_formats"] == [{"format_id": "133", "height": 240}]
    assert kept["subtitles"] == ["en"]
    assert kept["automatic_captions"] == ["de"]
    assert kept["chapters"] == [{"title": "A", "start_time": 0.0}]
