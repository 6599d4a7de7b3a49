"""From films, tables and runs to a survey folder; what does not fit is refused by name and leaves nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import av
import pytest

from cssgan.survey.build import SurveyOptions, build_survey, sources_from_runs, sources_of
from cssgan.survey.definition import read_survey
from phonics_data.errors import InputError, OptionError
from tests.cssgan.inference.test_generate import save_run
from tests.cssgan.survey.videos import make_survey, write_film, write_films
from tests.cssgan.toy_dataset import write_dataset


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_films(tmp_path_factory.mktemp("films"))


def test_a_folder_of_films(films: Path, tmp_path: Path) -> None:
    made = build_survey(sources_of(films), tmp_path / "survey", SurveyOptions(reference="mocogan"))

    assert read_survey(tmp_path / "survey") == made
    assert made.models == ("mocogan", "cssgan", "imaginator")
    assert len(made.videos) == 9
    names = " ".join(video.file for video in made.videos)
    assert not any(word in names for word in ("cssgan", "imaginator", "mocogan", "clip")), "names give nothing away"
    copy = tmp_path / "survey" / "media" / made.video("cssgan", "clip-1").file
    assert copy.read_bytes() == (films / "cssgan" / "clip-1.mp4").read_bytes()
    assert made.videos[0].seconds == pytest.approx(0.4, abs=0.1)


def test_a_table_of_films(films: Path, tmp_path: Path) -> None:
    with (tmp_path / "videos.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("model", "item", "path"))
        rows.writerow(("ours", "one", films / "cssgan" / "clip-0.mp4"))
        rows.writerow(("theirs", "one", films / "mocogan" / "clip-0.mp4"))
    made = build_survey(sources_of(tmp_path / "videos.csv"), tmp_path / "survey", SurveyOptions())
    assert made.models == ("ours", "theirs")
    assert made.items == ("one",)


def test_runs_make_the_videos(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", num_validation=3)
    runs = {"one": save_run(tmp_path / "a"), "two": save_run(tmp_path / "b", "model.cascade=false")}

    sources = sources_from_runs(runs, dataset, tmp_path / "work", split="validation", num_items=2, with_real=True)

    assert [(source.model, source.item) for source in sources] == [
        (model, item) for model in ("one", "two", "real") for item in ("clip-0100", "clip-0101")
    ]
    made = build_survey(sources, tmp_path / "survey", SurveyOptions())
    assert made.models == ("one", "two", "real")
    with av.open(str(tmp_path / "survey" / "media" / made.videos[0].file)) as film:
        assert film.streams.video[0].codec_context.width == 256
        assert film.streams.video[0].frames == 20
        assert len(film.streams.audio) == 1
    with pytest.raises(OptionError, match="any name but 'real'"):
        sources_from_runs({"real": runs["one"]}, dataset, tmp_path / "work", split="validation", with_real=True)


def refused(films: Path, out: Path, message: str, kind: type[Exception] = InputError, **options: Any) -> None:
    with pytest.raises(kind, match=message):
        build_survey(sources_of(films), out, SurveyOptions(**options))
    assert not out.exists()
    assert [path for path in out.parent.iterdir() if path.name.startswith(".")] == [], "no half folder stays"


def test_what_does_not_fit_is_refused(films: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no such folder or CSV"):
        sources_of(tmp_path / "gone")
    with pytest.raises(InputError, match=r"no MODEL/ITEM\.mp4"):
        sources_of(tmp_path)
    (tmp_path / "bad.csv").write_text("model,film\na,b\n")
    with pytest.raises(InputError, match=r"got columns \['model', 'film'\], allowed: model, item, path"):
        sources_of(tmp_path / "bad.csv")
    (tmp_path / "bad.csv").write_text("model,item,path\na,,c.mp4\n")
    with pytest.raises(InputError, match="row 2: model, item and path must not be empty"):
        sources_of(tmp_path / "bad.csv")
    refused(films, out, "--reference: got 'gan'", OptionError, reference="gan")
    refused(films, out, "--singles: got 0", OptionError, singles=0, pairs=0)
    (tmp_path / "empty.txt").write_text(" \n\n")
    refused(films, out, "is empty; write what raters agree to", consent=tmp_path / "empty.txt")
    refused(films, out, "cannot be read as UTF-8 text", consent=tmp_path / "gone.txt")

    holes = write_films(tmp_path / "holes", models=("a", "b"), num_items=2)
    (holes / "b" / "clip-1.mp4").unlink()
    refused(holes, out, "model b has no video of item clip-1")
    write_film(holes / "b" / "clip-1.mp4", num_frames=25)
    refused(holes, out, r"item clip-1: .* s of b, .* s of a; allowed: the same sound")
    (holes / "b" / "clip-1.mp4").write_bytes(b"no film at all")
    refused(holes, out, r"clip-1\.mp4: cannot be read as a film")
    write_silent(holes / "b" / "clip-1.mp4")
    refused(holes, out, r"clip-1\.mp4: has no sound")


def write_silent(path: Path) -> None:
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        film.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        film.mux(stream.encode(None))


def test_a_survey_folder_is_not_written_over(tmp_path: Path) -> None:
    survey = make_survey(tmp_path)
    with pytest.raises(InputError, match="exists already; choose another folder"):
        build_survey(sources_of(tmp_path / "films"), survey, SurveyOptions())


def test_a_broken_survey_is_refused(tmp_path: Path) -> None:
    survey = make_survey(tmp_path)
    path = survey / "survey.json"
    whole = path.read_text()

    def edit(**fields: Any) -> None:
        path.write_text(json.dumps({**json.loads(whole), **fields}))

    videos = json.loads(whole)["videos"]
    for change, message in (
        ({"schema_version": 9}, "got schema_version 9, allowed: 1"),
        ({"singles": -1}, "whole numbers from 0"),
        ({"videos": videos[1:]}, "one for each model and item"),
        ({"videos": [{**videos[0], "file": "../survey.json"}, *videos[1:]]}, "is missing"),
        ({"texts": {}}, "a field is missing"),
        ({"reference": "mocogan"}, "reference is 'mocogan'"),
    ):
        edit(**change)
        with pytest.raises(InputError, match=message):
            read_survey(survey)
    path.write_text(whole[:100])
    with pytest.raises(InputError, match="is no JSON"):
        read_survey(survey)
    path.unlink()
    with pytest.raises(InputError, match=r"holds no survey\.json"):
        read_survey(survey)
