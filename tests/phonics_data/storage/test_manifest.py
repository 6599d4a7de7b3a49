from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas
import pytest

import phonics_data
from phonics_data.errors import ManifestError, OptionError
from phonics_data.storage.manifest import (
    add_rows,
    check_manifest,
    diff_manifests,
    read_manifest,
    resolve_url,
    select_videos,
    youtube_id,
)
from phonics_data.types import SourceVideo

pytestmark = pytest.mark.dependencies


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_csv_and_parquet_give_equal_rows_with_resolved_paths(tmp_path: Path) -> None:
    text = "video_id,url,title,tier\nabc_-1,songs/a b.mp4,Ä song,2\nzzz,https://example.org/v,,\n"
    from_csv = read_manifest(write(tmp_path / "m.csv", text))
    pandas.read_csv(tmp_path / "m.csv").to_parquet(tmp_path / "m.parquet")
    assert read_manifest(str(tmp_path / "m.parquet")) == from_csv
    assert [video.video_id for video in from_csv] == ["abc_-1", "zzz"]
    assert from_csv[0].url == str((tmp_path / "songs" / "a b.mp4").resolve())
    assert from_csv[0].title == "Ä song"
    assert (from_csv[0].tier, from_csv[1].tier) == (2, 1)
    assert from_csv[1].url == "https://example.org/v"
    assert len(from_csv[1].letters) == 26


def test_tier_that_pandas_wrote_as_float(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"video_id": ["a", "b"], "url": ["a", "b"], "tier": [2, None]})
    frame.to_csv(tmp_path / "m.csv", index=False)
    assert "2.0" in (tmp_path / "m.csv").read_text()
    assert [video.tier for video in read_manifest(str(tmp_path / "m.csv"))] == [2, 1]


def test_reads_parquet(tmp_path: Path) -> None:
    frame = pandas.DataFrame({"video_id": ["a"], "url": ["a.mp4"], "letters": ["ABC"], "tier": [3]})
    frame.to_parquet(tmp_path / "m.parquet")
    (video,) = read_manifest(str(tmp_path / "m.parquet"))
    assert (video.letters, video.tier) == ("ABC", 3)


def test_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes("\ufeffvideo_id,url\na,a.mp4\n".encode())
    assert read_manifest(str(tmp_path / "m.csv"))[0].video_id == "a"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "row 1: column video_id is missing, got: none"),
        ("video_id,url\n", "no rows"),
        ("video_id,link\na,b\n", "row 1: unknown column 'link', allowed: video_id, url"),
        ("video_id,title\na,b\n", "row 1: column url is missing, got: video_id, title"),
        ("video_id,url\na,x\nb,y\na,z\n", "row 4, column video_id: 'a' is already in row 2"),
        ("video_id,url\n../../etc,x\n", "row 2, column video_id: got '../../etc', allowed: 1 to 64"),
        ("video_id,url\na,\n", "row 2, column url: empty"),
        ("video_id,url,kind\na,x,song\n", "row 2, column kind: got 'song', allowed: alphabet, letter, range"),
        ("video_id,url,letters\na,x,ÄB\n", "row 2, column letters: got 'ÄB'"),
        ("video_id,url,tier\na,x,9\n", "row 2, column tier: got '9'"),
        ("video_id,url,kind,letters\na,x,letter,AB\n", "row 2, column letters: got 'AB', allowed for kind letter: one"),
        ("video_id,url,language\na,x,English\n", "row 2, column language: got 'English', allowed: codes like en"),
        ("video_id,url\na,x.mp4\nb,x.mp4\n", "row 3, column url: the video of 'x.mp4' is already in row 2"),
        (
            "video_id,url\na,https://youtu.be/hq3yfQnllfQ\nb,https://www.youtube.com/watch?v=hq3yfQnllfQ&t=3\n",
            "row 3, column url: the video of 'https://www.youtube.com/watch?v=hq3yfQnllfQ&t=3' is already in row 2",
        ),
        ("video_id,url\na,x,surplus\n", "row 2 does not have the same number of cells as the header (2)"),
    ],
)
def test_faults_name_row_and_column(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(message)):
        read_manifest(write(tmp_path / "m.csv", text))


def test_many_faults_are_one_line(tmp_path: Path) -> None:
    rows = "".join(f"bad id {number},{number}.mp4\n" for number in range(9))
    with pytest.raises(ManifestError, match="and 4 more") as caught:
        read_manifest(write(tmp_path / "m.csv", "video_id,url\n" + rows))
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such manifest"):
        read_manifest(str(tmp_path / "m.csv"))
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(str(tmp_path))
    (tmp_path / "m.csv").write_bytes(b"video_id,url\n\xff\xfe,x\n")
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_manifest(str(tmp_path / "m.csv"))
    (tmp_path / "m.parquet").write_bytes(b"PAR1")
    with pytest.raises(ManifestError, match="not a readable parquet"):
        read_manifest(str(tmp_path / "m.parquet"))


@pytest.mark.parametrize(
    ("url", "location", "resolved"),
    [
        ("https://a/b", "/data/m.csv", "https://a/b"),
        ("v.mp4", "http://h:1/songs/m.csv", "http://h:1/songs/v.mp4"),
        ("/watch/7", "http://h:1/songs/m.csv", "http://h:1/watch/7"),
        ("v.mp4", "/data/m.csv", "/data/v.mp4"),
        ("/else/v.mp4", "/data/m.csv", "/else/v.mp4"),
    ],
)
def test_resolve(url: str, location: str, resolved: str) -> None:
    assert resolve_url(url, location) == resolved


@pytest.fixture
def serve_folder() -> Callable[[Path], str]:
    def serve(folder: Path) -> str:
        handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    servers: list[http.server.ThreadingHTTPServer] = []
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_relative_urls_of_an_http_manifest(tmp_path: Path, serve_folder: Callable[[Path], str]) -> None:
    write(tmp_path / "m.csv", "video_id,url\na,a b.mp4\n")
    address = serve_folder(tmp_path)
    assert read_manifest(f"{address}/m.csv")[0].url == f"{address}/a%20b.mp4"
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(f"{address}/other.csv")


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=-k4oiVaekT0",
        "https://m.youtube.com/watch?app=desktop&v=-k4oiVaekT0&t=10s",
        "https://youtu.be/-k4oiVaekT0?si=x",
        "https://www.youtube.com/embed/-k4oiVaekT0",
        "https://youtube.com/shorts/-k4oiVaekT0",
    ],
)
def test_youtube_id_of_all_url_forms(url: str) -> None:
    assert youtube_id(url) == "-k4oiVaekT0"


@pytest.mark.parametrize(
    "url", ["https://vimeo.com/1", "https://www.youtube.com/@channel", "song.mp4", "https://youtu.be/"]
)
def test_youtube_id_of_other_urls_is_none(url: str) -> None:
    assert youtube_id(url) is None


def test_load_manifest_as_table(tmp_path: Path) -> None:
    location = write(tmp_path / "m.csv", "video_id,url,style,tier\n1,https://example.org/v,phonics,2\n")
    frame = phonics_data.load_manifest(location)
    assert frame.video_id.tolist() == ["1"]
    assert frame["style"].tolist() == ["phonics"]
    assert (frame.tier.dtype, frame.video_id.dtype, frame.letters[0][0]) == ("int64", "string", "A")
    frame.to_parquet(tmp_path / "m.parquet")
    pandas.testing.assert_frame_equal(phonics_data.load_manifest(tmp_path / "m.parquet"), frame)


def test_check_lists_all_faults(tmp_path: Path) -> None:
    bad = write(tmp_path / "bad.csv", "video_id,url,tier\na,x,9\n!,,\n")
    assert [fault[:26].rstrip(":") for fault in check_manifest(bad)] == [
        "row 2, column tier: got '9", "row 3, column video_id: go", "row 3, column url: empty, ",
    ]  # fmt: skip
    assert check_manifest(write(tmp_path / "odd.csv", "id,url\na,b\n")) == [
        "row 1: unknown column 'id', allowed: video_id, url, title, channel, kind, letters, language, tier, duration_seconds, note, style",
        "row 1: column video_id is missing, got: id, url",
    ]
    assert check_manifest(write(tmp_path / "empty.csv", "video_id,url\n")) == [
        "no rows; a manifest has one row for each video, below its header"
    ]


def test_select_by_tier_letters_and_id() -> None:
    rows = [
        SourceVideo(video_id="one", url="1", letters="ABC", tier=1),
        SourceVideo(video_id="two", url="2", letters="CD", tier=2),
        SourceVideo(video_id="three", url="3", letters="A", tier=3),
    ]

    def ids(**wanted: object) -> list[str]:
        return [video.video_id for video in select_videos(rows, **wanted)]  # type: ignore[arg-type]

    assert ids() == ["one", "two", "three"]
    assert ids(max_tier=2) == ["one", "two"]
    assert ids(letters="DA") == ["one", "two", "three"]
    assert ids(letters="D") == ["two"]
    assert ids(only=["three"], max_tier=1, letters="Z") == ["three"]
    with pytest.raises(OptionError, match="--only: got 'four'"):
        ids(only=["one", "four"])
    with pytest.raises(OptionError, match="--letters"):
        ids(letters="a")


def test_rows_are_not_added_twice(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    first = SourceVideo(video_id="hq3yfQnllfQ", url="https://www.youtube.com/watch?v=hq3yfQnllfQ", title='Say "A", Ä')
    assert add_rows(path, [first, first]) == [first]
    same = SourceVideo(video_id="other", url="https://youtu.be/hq3yfQnllfQ")
    second = SourceVideo(video_id="b", url="https://example.org/b")
    assert add_rows(path, [same, second]) == [second]
    assert read_manifest(str(path)) == [first, second]
    before = path.read_bytes()
    with pytest.raises(ManifestError, match="row 4, column video_id"):
        add_rows(path, [SourceVideo(video_id="a b", url="https://example.org/c")])
    assert path.read_bytes() == before


def test_rows_are_added_with_the_existing_columns(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("url,video_id,style\nx,a,phonics\n")
    add_rows(path, [SourceVideo(video_id="b", url="https://example.org/b", title="left out")])
    assert path.read_text() == "url,video_id,style\nx,a,phonics\nhttps://example.org/b,b,\n"


def test_diff_lists_added_removed_and_changed(tmp_path: Path) -> None:
    old = write(tmp_path / "old.csv", "video_id,url,title,note\na,1,A,\nb,2,B,\n")
    new = write(tmp_path / "new.csv", "video_id,url,title,tier\nb,2,Bee,1\nc,3,C,2\n")
    assert diff_manifests(old, new) == ["- column note", "+ column tier", "- a", "+ c", "~ b title: 'B' -> 'Bee'"]
    assert diff_manifests(old, old) == []


@pytest.mark.parametrize(
    ("kind", "letters", "fault"),
    [
        ("letter", "", "allowed for kind letter: one letter"),
        ("letter", "AB", "allowed for kind letter: one letter"),
        ("range", "A", "allowed for kind range: 2 to 25 letters"),
        ("range", "", "allowed for kind range: 2 to 25 letters"),
        ("range", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "allowed for kind range: 2 to 25 letters"),
        ("range", "ABA", "A is repeated"),
        ("alphabet", "B", "allowed for kind alphabet: more than one letter, or empty"),
        ("letter", "b", "allowed: capital letters A to Z"),
    ],
)
def test_letters_must_fit_the_kind(tmp_path: Path, kind: str, letters: str, fault: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(fault)) as caught:
        read_manifest(write(tmp_path / "m.csv", f"video_id,url,kind,letters\na,a.mp4,{kind},{letters}\n"))
    assert "row 2, column letters" in str(caught.value)


def test_kind_follows_from_letters_if_it_is_empty(tmp_path: Path) -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    text = f"video_id,url,letters\na,a,B\nb,b,KLMNO\nc,c,{alphabet}\nd,d,\n"
    found = read_manifest(write(tmp_path / "m.csv", text))
    assert [(video.kind, video.letters) for video in found] == [
        ("letter", "B"),
        ("range", "KLMNO"),
        ("alphabet", alphabet),
        ("alphabet", alphabet),
    ]
    partial = read_manifest(write(tmp_path / "n.csv", "video_id,url,kind,letters\na,a,alphabet,ABCDEFGHIJ\n"))
    assert (partial[0].kind, partial[0].letters) == ("alphabet", "ABCDEFGHIJ")


def test_a_path_that_looks_like_a_damaged_address_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "songs.csv"
    path.write_text("video_id,url\na,hhttp://[::1.0/c.html\nb,x://[\n")
    assert [Path(video.url).name for video in read_manifest(str(path))] == ["c.html", "["]
    assert [youtube_id(url) for url in ("x://[", "https://youtu.be/abcdefghijk")] == [None, "abcdefghijk"]
