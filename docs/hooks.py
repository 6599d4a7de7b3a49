"""MkDocs hooks: links from the pages to files of the repository become links to the repository's web page."""

from __future__ import annotations

import re
from typing import Any

_OUTSIDE = re.compile(
    r"\]\((?:\.\./)+(?P<path>(?:phonics_data|cssgan|benchmarks|tests|examples|manifests|Dockerfile|LICENSE|README\.md|CONTRIBUTING\.md|CITATION\.cff)[^)#\s]*)"
)


def on_page_markdown(markdown: str, *, config: Any, **_: Any) -> str:
    """Replace ``](../cssgan/x.py)`` by the address of the file in the repository."""
    base = str(config["repo_url"]).rstrip("/")
    return _OUTSIDE.sub(lambda match: f"]({base}/blob/main/{match['path']}", markdown)
