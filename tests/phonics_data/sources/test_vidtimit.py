"""Download and import of VidTIMIT, with server failures and incomplete folders."""

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
from phonics_data.sources.importer import import_files
from phonics_data.sources.vidtimit import download, find_sentences, vidtimit_files
from phonics_data.stages.shard.stage import ShardOptions, shard
from phonics_data.storage.tables import read_table
from phonics_data.storage.workspace import Workspace
from phonics_data.types import FetchedVideo, Rejection
from tests.counted_videos import click_times, clicks, numbered_picture, read_number

SPEAKERS = ("fadg0", "mrcz0")


def write_sentence(root: Path, sentence: str, *, first: int = 0, frames: int = 30, form: str = "JPEG") -> None:
    """Write one sentence as in the archives: images named by number, without suffix."""
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
    """Zip archives of two speakers: file name -> content."""
    folder = tmp_path_factory.mktemp("corpus")
    archives: dict[str, bytes] = {}
    for number, speaker in enumerate(SPEAKERS):
        write_sentence(folder / speaker, "sa1", first=number * 20_000)
        write_sentence(folder / speaker, "si649", first=number * 20_000 + 9_000, frames=40)
        write_sentence(folder / speaker, "head", frames=3)
        write_sentence(folder / speaker, "head2", frames=3)
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for path in sorted((folder / speaker).rglob("*")):
                archive.write(path, f"{speaker}/{path.relative_to(folder / speaker)}")
        archives[f"{speaker}.zip"] = file.getvalue()
    return archives


class Record(http.server.ThreadingHTTPServer):
    """A fake public record: a list of files with checksums, and the files; the next `breaks` downloads are interrupted."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.breaks = 0
        self.ranges: list[str] = []
        self.checksums = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/records/158963"


class _Handler(http.server.BaseHTTPRequestHandler):
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


def test_download_resumes_and_the_corpus_becomes_a_dataset(record: Record, tmp_path: Path) -> None:
    record.breaks = 2
    download(tmp_path / "corpus", record=record.address, speakers=SPEAKERS, retry_seconds=(0, 0, 0))
    assert len(record.ranges) == 2, "interrupted downloads are resumed"
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == ["fadg0", "mrcz0"]
    record.ranges.clear()
    record.files.clear()
    found = find_sentences(tmp_path / "corpus")
    assert [(one.speaker, one.sentence, len(one.images)) for one in found] == [
        ("fadg0", "sa1", 30), ("fadg0", "si649", 40), ("mrcz0", "sa1", 30), ("mrcz0", "si649", 40),
    ]  # fmt: skip
    workspace = Workspace(tmp_path / "work")
    files = vidtimit_files(workspace, tmp_path / "corpus")
    import_files(workspace, files, evidence="vidtimit")
    shard(workspace, tmp_path / "dataset", ShardOptions(label_set="vidtimit"))
    rows = {row.video_id: row for row in read_metadata(tmp_path / "dataset")}
    assert {name: (row.label, row.num_frames) for name, row in rows.items()} == {
        "fadg0-sa1": ("fadg0", 30), "fadg0-si649": ("fadg0", 40),
        "mrcz0-sa1": ("mrcz0", 30), "mrcz0-si649": ("mrcz0", 40),
    }  # fmt: skip
    times = {file.path: file.path.stat().st_mtime_ns for file in files}
    vidtimit_files(workspace, tmp_path / "corpus")
    assert {file.path: file.path.stat().st_mtime_ns for file in files} == times, "videos are written once"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP"])
def test_videos_contain_every_image_and_the_audio(tmp_path: Path, form: str) -> None:
    write_sentence(tmp_path / "fadg0", "sa1", first=300, form=form)
    (file,) = vidtimit_files(Workspace(tmp_path / "work"), tmp_path)
    (one,) = cut_segments(file.path, [(0.0, 5.0)], frame_rate=Fraction(25), width=128, height=96, audio_rate_hz=16_000)
    assert one.frames_LHWC.shape[0] == 30
    for index, frame in enumerate(one.frames_LHWC):
        expected = numbered_picture(300 + index)[:96].astype(int)
        assert np.abs(frame.astype(int) - expected).mean() < (4 if form == "JPEG" else 1.5)
    assert click_times(one.audio_N, 16_000) == pytest.approx([0.4], abs=0.0005)
    assert read_number(np.pad(one.frames_LHWC[0], ((0, 32), (0, 0), (0, 0)))) == 300


def test_a_file_with_a_wrong_checksum_is_deleted(record: Record, tmp_path: Path) -> None:
    record.checksums["fadg0.zip"] = "0" * 32
    with pytest.raises(FetchError, match="the record has 0000"):
        download(tmp_path, record=record.address, speakers=["fadg0"], retry_seconds=())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_download_can_be_continued(record: Record, tmp_path: Path) -> None:
    record.breaks = 5
    with pytest.raises(FetchError, match="interrupted at"):
        download(tmp_path, record=record.address, speakers=["fadg0"], retry_seconds=(0,))
    record.breaks = 0
    download(tmp_path, record=record.address, speakers=["fadg0"], retry_seconds=())
    assert (tmp_path / "fadg0" / "video" / "sa1").is_dir()


def test_missing_archives_and_invalid_records_are_rejected(record: Record, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no archive for fcft0"):
        download(tmp_path, record=record.address, speakers=["fadg0", "fcft0"])
    with pytest.raises(FetchError, match="the list of files cannot be downloaded"):
        download(tmp_path, record=record.address.replace("158963", "fadg0.zip"))
    with pytest.raises(FetchError, match="the list of files cannot be downloaded"):
        download(tmp_path, record="http://127.0.0.1:9/none")


def test_archives_with_names_outside_their_folder_are_rejected(record: Record, tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../evil", b"x")
    record.files["fadg0.zip"] = file.getvalue()
    record.checksums["fadg0.zip"] = hashlib.md5(file.getvalue()).hexdigest()
    with pytest.raises(FetchError, match="is outside its folder"):
        download(tmp_path / "a" / "b", record=record.address, speakers=["fadg0"])
    assert not (tmp_path / "evil").exists()


def test_folders_without_speakers_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        find_sentences(tmp_path / "none")
    with pytest.raises(InputError, match="or --download"):
        find_sentences(tmp_path)


def test_audio_with_an_upper_case_suffix_is_found(tmp_path: Path) -> None:
    write_sentence(tmp_path / "fadg0", "sa1", frames=2)
    (tmp_path / "fadg0" / "audio" / "sa1.wav").rename(tmp_path / "fadg0" / "audio" / "SA1.WAV")
    (tmp_path / "fadg0" / "video" / "sa1").rename(tmp_path / "fadg0" / "video" / "SA1")
    (sentence,) = find_sentences(tmp_path)
    assert sentence.audio.name == "SA1.WAV"


def test_an_incomplete_sentence_is_rejected_and_the_others_are_imported(tmp_path: Path) -> None:
    corpus, workspace = tmp_path / "corpus", Workspace(tmp_path / "work")
    for name in ("sa1", "sa2", "si649"):
        write_sentence(corpus / "fadg0", name, frames=2)
    (corpus / "fadg0" / "audio" / "sa1.wav").unlink()
    (corpus / "fadg0" / "audio" / "sa2.wav").write_text("no sound")

    count = import_files(workspace, vidtimit_files(workspace, corpus), evidence="vidtimit")

    assert (count.num_in, count.num_kept, count.num_rejected) == (3, 1, 2)
    found = {row.item_id: row.detail for row in read_table(workspace.table("rejections"), Rejection)}
    assert found["fadg0-sa1"].startswith("sentence sa1 of fadg0: its audio file ")
    assert "not a readable audio file" in found["fadg0-sa2"]
    assert all(detail.endswith("extract the archive of fadg0 again") for detail in found.values())


def write_plain(root: Path, names: list[str], subtype: str = "PCM_16", level: float = 0.5) -> None:
    (root / "video" / "sa1").mkdir(parents=True)
    for index, name in enumerate(names):
        Image.fromarray(numbered_picture(index)).save(root / "video" / "sa1" / name, "PNG")
    (root / "audio").mkdir()
    tone = level * np.sin(np.arange(32_000 * len(names) // 25) / 10)
    soundfile.write(root / "audio" / "sa1.wav", tone, 32_000, subtype=subtype)


def imported(folder: Path, tmp_path: Path) -> tuple[list[int], float, list[str]]:
    """(the numbers on the frames, the loudest sample, the faults) of the first sentence in `folder`."""
    files = vidtimit_files(Workspace(tmp_path / "work"), folder)
    faults = [str(file.fault) for file in files if file.fault is not None]
    if faults:
        return [], 0.0, faults
    (clip,) = cut_segments(
        files[0].path, [(0.0, 1.0)], frame_rate=Fraction(25), width=128, height=128, audio_rate_hz=32_000
    )
    return [read_number(frame) for frame in clip.frames_LHWC], float(np.abs(clip.audio_N).max()), []


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_kind_of_wav_keeps_its_level(tmp_path: Path, subtype: str) -> None:
    write_plain(tmp_path / "fadg0", [f"{n:03d}" for n in range(1, 31)], subtype)
    _, loudest, _ = imported(tmp_path, tmp_path)
    assert loudest == pytest.approx(0.5, abs=0.01)


def test_images_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    write_plain(tmp_path / "VidTIMIT" / "fadg0" / "fadg0", [f"{n}.png" for n in range(1, 31)])
    (tmp_path / "VidTIMIT" / "fadg0" / "fadg0" / "video" / "sa1" / "Thumbs.db").write_bytes(b"not an image")
    numbers, _, faults = imported(tmp_path, tmp_path)
    assert (numbers, faults) == (list(range(25)), [])


def test_missing_image_is_named(tmp_path: Path) -> None:
    write_plain(tmp_path / "fadg0", [f"{n:03d}" for n in range(1, 31) if n != 7])
    _, _, (fault,) = imported(tmp_path, tmp_path)
    assert "its image 7 of 30 is missing" in fault


def test_not_a_number_in_the_sound_is_refused(tmp_path: Path) -> None:
    write_plain(tmp_path / "fadg0", [f"{n:03d}" for n in range(1, 31)])
    soundfile.write(tmp_path / "fadg0" / "audio" / "sa1.wav", np.full(32_000, np.nan), 32_000, subtype="FLOAT")
    _, _, (fault,) = imported(tmp_path, tmp_path)
    assert "contains NaN" in fault


def test_names_in_upper_case_are_found(tmp_path: Path) -> None:
    write_sentence(tmp_path / "fadg0", "sa1", frames=3)
    write_sentence(tmp_path / "fadg0", "head", frames=1)
    for path in sorted((tmp_path / "fadg0").rglob("*"), reverse=True):
        path.rename(path.with_name(path.name.upper()))
    (tmp_path / "fadg0").rename(tmp_path / "FADG0")
    (found,) = find_sentences(tmp_path)
    assert (found.speaker, found.sentence, len(found.images)) == ("fadg0", "sa1", 3)
    assert found.audio.is_file()


NAMES = [f"{n:03d}.png" for n in range(1, 31)]


def test_copies_of_images_and_other_files_are_no_frames(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_plain(tmp_path / "fadg0", NAMES)
    images = tmp_path / "fadg0" / "video" / "sa1"
    for name in ("003-copy.png", "003 (1).png", "003 (1)"):
        (images / name).write_bytes((images / "003.png").read_bytes())
    for name in ("index.html", "md5sums", "checksums.md5", "sa1.mp4", "Thumbs.db", ".003.png"):
        (images / name).write_bytes(b"no image")
    numbers, _, faults = imported(tmp_path, tmp_path)
    assert (numbers, faults) == (list(range(25)), [])
    (sentence,) = find_sentences(tmp_path)
    assert [path.name for path in sentence.images] == NAMES
    assert "not named as images with a number: 8, such as fadg0/video/sa1/003 (1)" in caplog.text


@pytest.mark.parametrize(
    ("copies", "message"),
    [
        (NAMES, "two of its images have one number, 001.jpg and 001.png; delete the copies"),
        (NAMES[2:3], "two of its images have one number, 003.jpg and 003.png; delete the copies"),
        (["003 2.png"], "its images are named in two ways, 030.png and 003 2.png; delete the copies"),
    ],
)
def test_two_images_of_one_frame_are_rejected(tmp_path: Path, copies: list[str], message: str) -> None:
    write_plain(tmp_path / "fadg0", NAMES)
    images = tmp_path / "fadg0" / "video" / "sa1"
    for name in copies:
        path = images / (name if " " in name else Path(name).with_suffix(".jpg"))
        Image.open(images / f"{name[:3]}.png").save(path, "PNG" if " " in name else "JPEG")
    _, _, (fault,) = imported(tmp_path, tmp_path)
    assert message in fault


def test_sentences_of_one_speaker_in_several_folders(tmp_path: Path) -> None:
    corpus, workspace = tmp_path / "corpus", Workspace(tmp_path / "work")
    for root, sentence, frames in (("a", "sa1", 5), ("b", "sa1", 4), ("b", "sa2", 3), ("a", "sa3", 2), ("b", "sa3", 2)):
        write_sentence(corpus / root / "fadg0", sentence, frames=frames)
    (corpus / "a" / "fadg0" / "audio" / "sa3.wav").unlink()
    write_sentence(corpus / ".Trash-1000" / "fadg0", "sa1", frames=9)

    count = import_files(workspace, vidtimit_files(workspace, corpus), evidence="vidtimit")

    assert (count.num_kept, count.by_reason) == (3, {"near_duplicate": 2})
    videos = read_table(workspace.table("videos"), FetchedVideo)
    assert [(row.video_id, round(row.duration_seconds * 25)) for row in videos] == [
        ("fadg0-sa1", 5), ("fadg0-sa2", 3), ("fadg0-sa3", 2),
    ]  # fmt: skip
    details = sorted(row.detail for row in read_table(workspace.table("rejections"), Rejection))
    used = [
        (corpus / one / "fadg0" / "video" / name)
        for one, name in (("b", "sa1"), ("a", "sa1"), ("a", "sa3"), ("b", "sa3"))
    ]
    assert details == [
        f"sentence sa1 of fadg0: {used[0]} is a second copy of {used[1]}, which was used",
        f"sentence sa3 of fadg0: {used[2]} is a second copy of {used[3]}, which was used",
    ]
