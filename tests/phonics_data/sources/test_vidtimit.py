"""VidTIMIT from a server that behaves badly, and from folders in all their forms."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from phonics_data.dataset.layout import read_metadata
from phonics_data.errors import FetchError, InputError
from phonics_data.media import cut_segments
from phonics_data.sources.collect import collect
from phonics_data.sources.vidtimit import download, sequences, vidtimit_files
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import Rejection
from tests.counted_videos import click_times, clicks, numbered_picture, read_number


def put_sentence(root: Path, sentence: str, *, first: int = 0, frames: int = 30, form: str = "JPEG") -> None:
    """As the archives have them: images named by number, without a suffix."""
    video = root / "video" / sentence
    video.mkdir(parents=True)
    for index in range(frames):
        picture = Image.fromarray(numbered_picture(first + index)[:96])  # 128 x 96
        picture.save(video / f"{index + 1:03d}", form, **({"quality": 95} if form == "JPEG" else {}))
    if not sentence.startswith("head"):
        (root / "audio").mkdir(exist_ok=True)
        sound = clicks(frames / 25, [0.4], 32_000)
        soundfile.write(root / "audio" / f"{sentence}.wav", sound, 32_000, subtype="PCM_16")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Archives of two speakers; the second holds a deeper folder."""
    folder = tmp_path_factory.mktemp("corpus")
    packed: dict[str, bytes] = {}
    for number, (speaker, inner) in enumerate({"fadg0": "fadg0", "mrcz0": "mrcz0"}.items()):
        put_sentence(folder / speaker, "sa1", first=number * 20_000)
        put_sentence(folder / speaker, "si649", first=number * 20_000 + 9_000, frames=40)
        put_sentence(folder / speaker, "head", frames=3)
        put_sentence(folder / speaker, "head2", frames=3)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for path in sorted((folder / speaker).rglob("*")):
                archive.write(path, f"{inner}/{path.relative_to(folder / speaker)}")
        packed[f"{speaker}.zip"] = file.getvalue()
    return packed


class Record(http.server.ThreadingHTTPServer):
    """A public record: a list of files with checksums, and the files, which break off as often as they are told."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files = files
        self.breaks = 0
        self.ranges: list[str] = []
        self.checksums = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/records/158963"


class _Answers(http.server.BaseHTTPRequestHandler):
    server: Record

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if name == "158963":
            listed = [
                {
                    "key": key,
                    "size": len(data),
                    "checksum": f"md5:{self.server.checksums[key]}",
                    "links": {"self": f"http://127.0.0.1:{self.server.server_port}/files/{key}"},
                }
                for key, data in self.server.files.items()
            ]
            self._send(200, json.dumps({"files": listed}).encode())
            return
        data, status = self.server.files[name], 200
        if wanted := self.headers.get("Range"):
            self.server.ranges.append(wanted)
            data, status = data[int(wanted.removeprefix("bytes=").rstrip("-")) :], 206
        if self.server.breaks:
            self.server.breaks -= 1
            self._send(status, data, only=len(data) // 2)
        else:
            self._send(status, data)

    def _send(self, status: int, data: bytes, only: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:only])


@pytest.fixture
def record(archives: dict[str, bytes]) -> Iterator[Record]:
    with Record(dict(archives)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


SPEAKERS = ("fadg0", "mrcz0")


def test_download_resumes_and_the_corpus_becomes_a_dataset(record: Record, tmp_path: Path) -> None:
    record.breaks = 2
    download(tmp_path / "corpus", record=record.address, speakers=SPEAKERS, retry_seconds=(0, 0, 0))
    assert len(record.ranges) == 2, "what broke off went on where it stopped"
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == ["fadg0", "mrcz0"]
    record.ranges.clear()
    record.files.clear()
    found = sequences(tmp_path / "corpus")
    assert [(one.speaker, one.sentence, len(one.images)) for one in found] == [
        ("fadg0", "sa1", 30), ("fadg0", "si649", 40), ("mrcz0", "sa1", 30), ("mrcz0", "si649", 40),
    ]  # fmt: skip
    workspace = Workspace(tmp_path / "work")
    files = vidtimit_files(workspace, tmp_path / "corpus")
    collect(workspace, files, evidence="vidtimit")
    shard(workspace, tmp_path / "dataset", ShardOptions(label_set="vidtimit"))
    rows = {row.video_id: row for row in read_metadata(tmp_path / "dataset")}
    assert {name: (row.label, row.num_frames) for name, row in rows.items()} == {
        "fadg0-sa1": ("fadg0", 30), "fadg0-si649": ("fadg0", 40),
        "mrcz0-sa1": ("mrcz0", 30), "mrcz0-si649": ("mrcz0", 40),
    }  # fmt: skip
    times = {file.path: file.path.stat().st_mtime_ns for file in files}
    vidtimit_files(workspace, tmp_path / "corpus")
    assert {file.path: file.path.stat().st_mtime_ns for file in files} == times, "films are made once"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP"])
def test_films_hold_every_image_and_the_sound(tmp_path: Path, form: str) -> None:
    put_sentence(tmp_path / "fadg0", "sa1", first=300, form=form)
    (file,) = vidtimit_files(Workspace(tmp_path / "work"), tmp_path)
    (one,) = cut_segments(file.path, [(0.0, 5.0)], frame_rate=Fraction(25), width=128, height=96, audio_rate_hz=16_000)
    assert one.frames_LHWC.shape[0] == 30
    for index, frame in enumerate(one.frames_LHWC):
        expected = numbered_picture(300 + index)[:96].astype(int)
        assert np.abs(frame.astype(int) - expected).mean() < (4 if form == "JPEG" else 1.5)
    assert click_times(one.audio_N, 16_000) == pytest.approx([0.4], abs=0.0005)
    assert read_number(np.pad(one.frames_LHWC[0], ((0, 32), (0, 0), (0, 0)))) == 300


def test_a_file_that_is_not_what_the_record_says_is_thrown_away(record: Record, tmp_path: Path) -> None:
    record.checksums["fadg0.zip"] = "0" * 32
    with pytest.raises(FetchError, match="the record says 0000"):
        download(tmp_path, record=record.address, speakers=["fadg0"], retry_seconds=())
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_stays_down_is_told_and_can_go_on(record: Record, tmp_path: Path) -> None:
    record.breaks = 5
    with pytest.raises(FetchError, match="broke off at"):
        download(tmp_path, record=record.address, speakers=["fadg0"], retry_seconds=(0,))
    record.breaks = 0
    download(tmp_path, record=record.address, speakers=["fadg0"], retry_seconds=())
    assert (tmp_path / "fadg0" / "video" / "sa1").is_dir()


def test_speakers_that_the_record_lacks_and_records_that_are_none(record: Record, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no archive for fcft0"):
        download(tmp_path, record=record.address, speakers=["fadg0", "fcft0"])
    with pytest.raises(FetchError, match="its list of files cannot be had"):
        download(tmp_path, record=record.address.replace("158963", "fadg0.zip"))
    with pytest.raises(FetchError, match="its list of files cannot be had"):
        download(tmp_path, record="http://127.0.0.1:9/none")


def test_archives_that_lead_out_of_their_folder_are_refused(record: Record, tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../evil", b"x")
    record.files["fadg0.zip"] = file.getvalue()
    record.checksums["fadg0.zip"] = hashlib.md5(file.getvalue()).hexdigest()
    with pytest.raises(FetchError, match="leads out of it"):
        download(tmp_path / "a" / "b", record=record.address, speakers=["fadg0"])
    assert not (tmp_path / "evil").exists()


def test_incomplete_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        sequences(tmp_path / "none")
    with pytest.raises(InputError, match="or --download"):
        sequences(tmp_path)


def test_a_broken_sentence_is_rejected_and_the_others_come(tmp_path: Path) -> None:
    corpus, workspace = tmp_path / "corpus", Workspace(tmp_path / "work")
    for name in ("sa1", "sa2", "si649"):
        put_sentence(corpus / "fadg0", name, frames=2)
    (corpus / "fadg0" / "audio" / "sa1.wav").unlink()
    (corpus / "fadg0" / "audio" / "sa2.wav").write_text("no sound")

    count = collect(workspace, vidtimit_files(workspace, corpus), evidence="vidtimit")

    assert (count.num_in, count.num_kept, count.num_rejected) == (3, 1, 2)
    found = {row.item_id: row.detail for row in read_table(workspace.table("rejections"), Rejection)}
    assert found["fadg0-sa1"].startswith("sentence sa1 of fadg0: its sound ")
    assert "not a readable sound file" in found["fadg0-sa2"]
    assert all(detail.endswith("unpack fadg0's archive again") for detail in found.values())
