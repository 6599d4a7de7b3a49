"""Survey folders from video files, CSV files and runs; invalid inputs are named and leave no files."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import av
import pytest

from cssgan.survey.build import SurveyOptions, build_survey, find_model_videos, generate_model_videos
from cssgan.survey.definition import read_survey
from phonics_data.errors import InputError, OptionError, UsageError
from phonics_data.media import ffmpeg_path
from tests.cssgan.inference.test_generate import save_run
from tests.cssgan.survey.videos import make_survey, write_video, write_videos
from tests.cssgan.toy_dataset import write_dataset

pytestmark = pytest.mark.dependencies


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_videos(tmp_path_factory.mktemp("videos"))


def test_videos_of_a_folder(videos: Path, tmp_path: Path) -> None:
    made = build_survey(find_model_videos(videos), tmp_path / "survey", SurveyOptions(reference="mocogan"))

    assert read_survey(tmp_path / "survey") == made
    assert made.models == ("mocogan", "cssgan", "imaginator")
    assert len(made.videos) == 9
    names = " ".join(video.file for video in made.videos)
    assert not any(word in names for word in ("cssgan", "imaginator", "mocogan", "clip")), (
        "file names do not contain model or item"
    )
    copy = tmp_path / "survey" / "media" / made.video("cssgan", "clip-1").file
    assert copy.read_bytes() == (videos / "cssgan" / "clip-1.mp4").read_bytes()
    assert made.videos[0].seconds == pytest.approx(0.4, abs=0.1)


def test_videos_of_a_csv(videos: Path, tmp_path: Path) -> None:
    with (tmp_path / "videos.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("model", "item", "path"))
        rows.writerow(("ours", "one", videos / "cssgan" / "clip-0.mp4"))
        rows.writerow(("theirs", "one", videos / "mocogan" / "clip-0.mp4"))
    made = build_survey(find_model_videos(tmp_path / "videos.csv"), tmp_path / "survey", SurveyOptions())
    assert made.models == ("ours", "theirs")
    assert made.items == ("one",)


def test_videos_generated_from_runs(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", num_validation=3)
    runs = {"one": save_run(tmp_path / "a"), "two": save_run(tmp_path / "b", "model.cascade=false")}

    generated = generate_model_videos(runs, dataset, tmp_path / "work", split="validation", num_items=2, with_real=True)

    assert [(video.model, video.item) for video in generated] == [
        (model, item) for model in ("one", "two", "real") for item in ("clip-0100", "clip-0101")
    ]
    made = build_survey(generated, tmp_path / "survey", SurveyOptions())
    assert made.models == ("one", "two", "real")
    with av.open(str(tmp_path / "survey" / "media" / made.videos[0].file)) as file:
        assert file.streams.video[0].codec_context.width == 256
        assert file.streams.video[0].frames == 20
        assert len(file.streams.audio) == 1
    with pytest.raises(OptionError, match="any name but 'real'"):
        generate_model_videos({"real": runs["one"]}, dataset, tmp_path / "work", split="validation", with_real=True)


def assert_rejected(videos: Path, out: Path, message: str, kind: type[Exception] = InputError, **options: Any) -> None:
    with pytest.raises(kind, match=message):
        build_survey(find_model_videos(videos), out, SurveyOptions(**options))
    assert not out.exists()
    assert [path for path in out.parent.iterdir() if path.name.startswith(".")] == [], "no temporary folder remains"


def test_invalid_videos_and_options_are_errors(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no such file; expected a CSV"):
        find_model_videos(tmp_path / "gone")
    with pytest.raises(InputError, match=r"no MODEL/ITEM\.mp4"):
        find_model_videos(tmp_path)
    (tmp_path / "bad.csv").write_text("model,video\na,b\n")
    with pytest.raises(InputError, match="columns are model, video; required, once each: model, item, path"):
        find_model_videos(tmp_path / "bad.csv")
    (tmp_path / "bad.csv").write_text("model,item,path\na,,c.mp4\n")
    with pytest.raises(InputError, match="line 2: model, item and path must not be empty"):
        find_model_videos(tmp_path / "bad.csv")
    assert_rejected(videos, out, "--reference: got 'gan'", OptionError, reference="gan")
    assert_rejected(videos, out, "--singles: got 0", OptionError, singles=0, pairs=0)
    (tmp_path / "empty.txt").write_text(" \n\n")
    assert_rejected(videos, out, "is empty; write the consent text", consent=tmp_path / "empty.txt")
    assert_rejected(videos, out, "cannot be read as UTF-8 text", consent=tmp_path / "gone.txt")

    holes = write_videos(tmp_path / "holes", models=("a", "b"), num_items=2)
    (holes / "b" / "clip-1.mp4").unlink()
    assert_rejected(holes, out, "model b has no video of item clip-1")
    write_video(holes / "b" / "clip-1.mp4", num_frames=25)
    assert_rejected(holes, out, r"item clip-1: .* s of b, .* s of a; allowed: the same audio")
    (holes / "b" / "clip-1.mp4").write_bytes(b"not a video")
    assert_rejected(holes, out, r"clip-1\.mp4: cannot be read as a video")
    write_silent(holes / "b" / "clip-1.mp4")
    assert_rejected(holes, out, r"clip-1\.mp4: has no audio stream")


def write_silent(path: Path) -> None:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode(None))


def test_an_existing_folder_is_not_overwritten(tmp_path: Path) -> None:
    survey = make_survey(tmp_path)
    with pytest.raises(InputError, match="exists already; choose another folder"):
        build_survey(find_model_videos(tmp_path / "videos"), survey, SurveyOptions())


def test_a_damaged_survey_is_an_error(tmp_path: Path) -> None:
    survey = make_survey(tmp_path)
    path = survey / "survey.json"
    valid = path.read_text()

    def edit(**fields: Any) -> None:
        path.write_text(json.dumps({**json.loads(valid), **fields}))

    videos = json.loads(valid)["videos"]
    for change, message in (
        ({"schema_version": 9}, "got schema_version 9, allowed: 1"),
        ({"singles": -1}, "integers from 0"),
        ({"videos": videos[1:]}, "one for each model and item"),
        ({"videos": [{**videos[0], "file": "../survey.json"}, *videos[1:]]}, "is missing"),
        ({"texts": {}}, "a field is missing"),
        ({"reference": "mocogan"}, "reference is 'mocogan'"),
    ):
        edit(**change)
        with pytest.raises(InputError, match=message):
            read_survey(survey)
    path.write_text(valid[:100])
    with pytest.raises(InputError, match="not JSON"):
        read_survey(survey)
    path.unlink()
    with pytest.raises(InputError, match=r"contains no survey\.json"):
        read_survey(survey)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ('"singles": 1000000000', "singles: got 1000000000, allowed: integers from 0 to 500"),
        ('"pairs": 1000000000', "pairs: got 1000000000, allowed: integers from 0 to 500"),
        ('"checks": 1000000000', "checks: got 1000000000, allowed: integers from 0 to 20"),
        ('"checks": true', "checks: got True, allowed"),
        ('"singles": NaN', "not JSON .a number that is not finite"),
        ('"singles": 2.5', "singles: got 2.5, allowed"),
        ('"seed": 1e400', "a number that is not finite"),
        (f'"seed": {10**40}', "a whole number of more than 64 bits"),
        ('"singles": 0, "pairs": 0', "singles: got 0, allowed: at least 1"),
        (
            '"videos": [{"model": "a", "item": "b", "file": "c", "seconds": 1e999}]',
            "a number that is not finite",
        ),
        ('"videos": [{"model": "a", "item": "b", "file": "c", "seconds": -Infinity}]', "a number that is not finite"),
        (
            '"videos": [{"model": "a", "item": "b", "file": "c", "seconds": "1"}]',
            "seconds 1, allowed: a number above 0",
        ),
        ('"videos": [{"model": "a", "item": "b", "file": 5, "seconds": 1}]', "file: got '5', allowed: text"),
        ('"videos": [{"model": "a", "item": ["b"], "file": "c", "seconds": 1}]', "item: got .*allowed: text"),
        ('"videos": []', "videos: got 0, allowed: 1 to 2000"),
        (f'"videos": [{", ".join(["{}"] * 9)}]', "a field is missing"),
        ('"videos": {"model": 1}', "allowed: a list"),
        ('"models": "abc"', "'abc'.*allowed: a list"),
        ('"models": []', "one for each model and item"),
        ('"consent": "yes"', "'yes'.*allowed: a list"),
        (f'"consent": [{", ".join(["1"] * 9)}]', "allowed: text"),
        (f'"consent": [{", ".join([chr(34) * 2] * 51)}]', "consent: got 51 paragraphs, allowed: up to 50"),
        (f'"title": "{"x" * 1001}"', "title: got 1001 characters, allowed: 0 to 1000"),
        ('"title": null', "allowed: text"),
        ('"ends": {"single": ["a"], "pair": ["b", "c"]}', "a field is missing"),
        ('"made_from": ' + "[" * 100_000, "not JSON"),
        ('"made_from": {"x": "' + "x" * 8_000_000 + '"}', "more than 8,000,000 bytes"),
    ],
)
def test_values_of_a_survey_are_limited(survey_text: tuple[Path, str], change: str, message: str) -> None:
    folder, valid = survey_text
    # The last of two fields of one name counts.
    (folder / "survey.json").write_text(valid.rstrip().removesuffix("}") + f", {change}}}")
    with pytest.raises(InputError, match=message):
        read_survey(folder)


@pytest.fixture(scope="module")
def survey_text(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = make_survey(tmp_path_factory.mktemp("limits"))
    return folder, (folder / "survey.json").read_text()


def test_links_out_of_the_media_folder_are_an_error(tmp_path: Path) -> None:
    survey = make_survey(tmp_path)
    name = json.loads((survey / "survey.json").read_text())["videos"][0]["file"]
    (survey / "media" / name).rename(tmp_path / "video.mp4")
    (survey / "media" / name).symlink_to(tmp_path / "video.mp4")
    with pytest.raises(InputError, match="is a link that leads out of the folder"):
        read_survey(survey)


@pytest.mark.parametrize("option", [{"checks": 10**9}, {"seed": -1}, {"title": "x" * 1001}, {"contact": "\ud800"}])
def test_options_of_a_survey_are_limited(option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"--{next(iter(option))}: got .*allowed"):
        SurveyOptions(**option)


def test_videos_that_some_browsers_do_not_play_are_refused(videos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    for model in ("a", "b"):
        (folder / model).mkdir(parents=True)
        (folder / model / "one.mp4").write_bytes((videos / "cssgan" / "clip-0.mp4").read_bytes())
    with av.open(str(videos / "cssgan" / "clip-0.mp4")) as source, av.open(str(folder / "a" / "one.mp4"), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        copied = out.add_stream_from_template(source.streams.audio[0])
        for frame in source.decode(video=0):
            out.mux(stream.encode(frame.reformat(64, 64, "yuv444p")))
        out.mux(stream.encode())
        source.seek(0)
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = copied
                out.mux(packet)
    with pytest.raises(InputError, match=r"one\.mp4: pixel format yuv444p, allowed in browsers: yuv420p"):
        build_survey(find_model_videos(folder), tmp_path / "survey", SurveyOptions())
    call = [ffmpeg_path(), "-v", "error", "-y", "-display_hflip", "-i", videos / "cssgan" / "clip-0.mp4", "-c", "copy"]
    subprocess.run([*call, folder / "a" / "one.mp4"], check=True)
    with pytest.raises(InputError, match=r"one\.mp4: its display matrix mirrors the frames"):
        build_survey(find_model_videos(folder), tmp_path / "survey", SurveyOptions())
