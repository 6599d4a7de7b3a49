"""report.html is complete, self-contained, and displayed by a browser."""

from __future__ import annotations

import base64
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from phonics_data.errors import DatasetError
from phonics_data.media import probe
from phonics_data.report import write_report
from tests.phonics_data.report.test_verify import make_dataset

pytestmark = pytest.mark.dependencies


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("page"))


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_page_is_self_contained(dataset: Path) -> None:
    page = write_report(dataset)
    assert page == dataset / "report.html"
    tags = Tags()
    tags.feed(page.read_text())
    addresses = [
        attributes[name] or ""
        for _, attributes in tags.found
        for name in ("src", "href", "poster")
        if name in attributes
    ]
    assert addresses
    assert all(address.startswith(("data:", "#")) for address in addresses), "no references to files or network"
    strips = [attributes for tag, attributes in tags.found if tag == "img"]
    assert len(strips) == 12, "six clips, each in the least certain list and in its class"
    videos = [attributes["src"] or "" for tag, attributes in tags.found if tag == "video"]
    assert len(videos) == 12
    video = dataset.parent / "clip.mp4"
    video.write_bytes(base64.b64decode(videos[0].removeprefix("data:video/mp4;base64,")))
    info = probe(video, need_audio=True)
    assert (info.width, info.height, info.num_frames) == (64, 64, 20)


def test_counts_on_the_page(dataset: Path) -> None:
    text = re.sub(r"<style>.*</style>|<[^>]+>", " ", write_report(dataset).read_text(), flags=re.DOTALL)
    words = re.sub(r"\s+", " ", text)
    assert "6 clips from 3 sources" in words
    assert re.search(r"A 1 1 1 3", words)
    assert re.search(r"C 0 0 0 0", words)


def test_untrusted_text_is_escaped(dataset: Path, tmp_path: Path) -> None:
    import dataclasses

    from phonics_data.dataset.layout import read_metadata, write_checksums, write_metadata

    copy = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    rows = [dataclasses.replace(row, object_word="<script>alert(1)</script>") for row in read_metadata(copy)]
    write_metadata(copy / "metadata.parquet", rows)
    write_checksums(copy, {})
    assert "<script>alert" not in write_report(copy).read_text()


def test_page_of_the_same_files_is_kept(dataset: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    first = write_report(copy).stat().st_mtime_ns
    assert write_report(copy).stat().st_mtime_ns == first
    (copy / "SHA256SUMS").write_text("other\n")
    assert write_report(copy).stat().st_mtime_ns != first


def test_no_page_without_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"contains no dataset\.json"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_least_certain_clips_are_listed_first(dataset: Path, tmp_path: Path) -> None:
    import dataclasses

    from phonics_data.dataset.layout import read_metadata, write_checksums, write_metadata

    copy = Path(shutil.copytree(dataset, tmp_path / "dataset"))
    rows = read_metadata(copy)
    confidences = {row.sample_id: 0.95 for row in rows} | {rows[3].sample_id: 0.2, rows[1].sample_id: 0.6}
    write_metadata(
        copy / "metadata.parquet", [dataclasses.replace(row, confidence=confidences[row.sample_id]) for row in rows]
    )
    write_checksums(copy, {})
    page = write_report(copy).read_text()
    uncertain = re.search(r'<h2 id="uncertain">(.*?)<p>', page, re.DOTALL)
    assert uncertain is not None
    assert re.findall(r"<code>(.*?)</code>", uncertain[1]) == [rows[3].sample_id, rows[1].sample_id]


@pytest.mark.parametrize("width", [1280, 420])
def test_browser_displays_the_page_and_plays_a_clip(dataset: Path, tmp_path: Path, browser: Any, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 1600})
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.on("request", lambda request: faults.append(request.url) if request.url.startswith("http") else None)
    page.goto(write_report(dataset).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "no horizontal overflow"
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    shown = np.asarray(Image.open(tmp_path / "page.png").convert("RGB")).astype(int)
    blue = (abs(shown - np.array([0x2F, 0x6F, 0xDE])).sum(axis=2) < 12).sum()
    assert blue > 1_000, "the bars of the training split are drawn"
    # Only the numbered test pictures (black and white squares) are this dark.
    assert (shown.sum(axis=2) < 120).mean() > 0.005, "the strips of the clips are drawn"
    video = page.locator("video").first
    video.click()
    page.wait_for_function("document.querySelector('video').ended")
    duration, decoded, pixels, fault = video.evaluate(
        "video => [video.duration, video.webkitAudioDecodedByteCount, video.videoWidth, video.error]"
    )
    assert duration == pytest.approx(0.8, abs=0.1)
    assert decoded > 0, "the clip has audio"
    assert pixels == 64
    assert fault is None
    assert faults == []
    page.close()
