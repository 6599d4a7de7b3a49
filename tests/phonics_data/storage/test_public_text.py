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
        ("HTTP://me:pass@h.org/a.mp4", "http://h.org/a.mp4"),
        ("//me:pass@h.org/a.mp4", "//h.org/a.mp4"),
        ("ftp://me:pass@h.org/a.mp4", "ftp://h.org/a.mp4"),
        ("socks5://me:pass@h.org:1080", "socks5://h.org:1080"),
        ("s3://key:secret@bucket/a.mp4", "s3://bucket/a.mp4"),
        ("http://h.org/a.mp4#access_token=t&t=5", "http://h.org/a.mp4#t=5"),
        ("http://h.org/a.mp4?x=1;token=t;y=2", "http://h.org/a.mp4?x=1;y=2"),
        ("http://h.org/a.mp4?tok=t&x=1", "http://h.org/a.mp4?x=1"),
        ("http://h.org/a.mp4;jsessionid=t", "http://h.org/a.mp4"),
        ("http://h.org/a.mp4?u=https://me:pass@x.org/b", "http://h.org/a.mp4?u=https://x.org/b"),
        ("http://h.org/a.mp4?u=https%3A%2F%2Fx.org%2Fb%3Fsig%3Dt&v=1", "http://h.org/a.mp4?u=https://x.org/b&v=1"),
        ("[generic] me:pass@x: Unable", "[generic] x: Unable"),
        ("at 12:30 mail jane@h.org", "at 12:30 mail jane@h.org"),
        ("ratio 4:3, songs/a.mp4", "ratio 4:3, songs/a.mp4"),
    ],
)
def test_addresses_lose_their_secrets_only(address: str, plain: str) -> None:
    assert without_secrets(f"see {address} now") == f"see {plain} now"


@pytest.mark.parametrize(
    "text",
    ["a.b-" * 50_000, "a:b" * 50_000, "x://" * 50_000, "http://h.org/?u=" * 20_000, "http://h.org/?u=%68" + "%2525" * 20_000,
     "a:" * 50_000 + "@", ";a=" * 50_000],
)  # fmt: skip
@pytest.mark.timeout(60)
def test_long_texts_do_not_take_quadratic_time(text: str) -> None:
    assert len(without_secrets(text)) <= len(text)


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
