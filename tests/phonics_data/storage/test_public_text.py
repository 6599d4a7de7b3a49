"""What is shown or published has no control characters, secrets and local folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonics_data.storage.public_text import without_local_folders, without_secrets


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("https://me:pass@h.org:8/a.mp4", "https://h.org:8/a.mp4"),
        ("https://h.org/a.mp4?id=5&X-Amz-Signature=ab&X-Amz-Credential=k", "https://h.org/a.mp4?id=5"),
        (
            "https://h.org/v?v=a_b&lsig=x&Signature=y&Key-Pair-Id=z&access_token=t&api_key=k",
            "https://h.org/v?v=a_b&Key-Pair-Id=z",
        ),
        (
            "https://www.youtube.com/watch?v=-wNyEUrxzFU&list=1#t=5",
            "https://www.youtube.com/watch?v=-wNyEUrxzFU&list=1#t=5",
        ),
        ("https://[bad/?sig=1", "https://[bad/"),
    ],
)
def test_addresses_lose_their_secrets_only(address: str, plain: str) -> None:
    assert without_secrets(f"see {address} now") == f"see {plain} now"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("/home/jane/songs/a.mp4: no such file", "a.mp4: no such file"),
        ("/home/Jane Doe/my songs/a.mp4: no such file", "a.mp4: no such file"),
        ("copied from /home/jane/a.mp4, which is silent", "copied from a.mp4, which is silent"),
        ("see '/srv/my data/x/b.mp4'", "see 'x/b.mp4'"),
        ("https://h.org/a/b.mp4: 5/6 of bytes, 25/1 s", "https://h.org/a/b.mp4: 5/6 of bytes, 25/1 s"),
    ],
)
def test_absolute_paths_become_names(text: str, plain: str) -> None:
    assert without_local_folders(text, [Path("/srv/my data")]) == plain
