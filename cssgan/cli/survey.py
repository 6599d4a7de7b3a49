"""`cssgan survey`: the user study, from videos to Table 2."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from phonics_data.errors import OptionError

survey_app = typer.Typer(
    name="survey",
    help="A user study on a web page: build it, serve it, analyse its answers.\n\nExample: cssgan survey serve survey",
    no_args_is_help=True,
)
SurveyArgument = Annotated[Path, typer.Argument(help="Survey folder, as `survey build` made it.")]
SplitName = Literal["train", "validation", "test"]


@survey_app.command()
def build(
    out: Annotated[Path, typer.Option(help="The survey folder to make.")],
    videos: Annotated[
        Path | None, typer.Option(help="Folder of MODEL/ITEM.mp4, or a CSV with columns model, item, path.")
    ] = None,
    run: Annotated[
        list[str], typer.Option("--run", metavar="NAME=RUN", help="Make the videos with this run; may be repeated.")
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    shards: Annotated[Path | None, typer.Option("--shards", help="With --run: dataset whose clips are used.")] = None,
    split: Annotated[SplitName, typer.Option(help="With --run: of which split.")] = "test",
    items: Annotated[int, typer.Option(help="With --run: so many clips.", min=1, max=1000)] = 12,
    real: Annotated[bool, typer.Option("--real", help="With --run: the real videos take part as a model.")] = False,
    reference: Annotated[
        str | None, typer.Option(help="The model that the others are compared with.  [default: the first]")
    ] = None,
    title: Annotated[str, typer.Option(help="Heading of the pages.")] = "How do videos go with their sound?",
    lang: Annotated[str, typer.Option(help="Language code of the texts, for screen readers.")] = "en",
    contact: Annotated[str, typer.Option(help="Whom raters may ask, at the foot of each page.")] = "",
    consent: Annotated[
        Path | None, typer.Option(help="Text file of what raters agree to, instead of the built-in text.")
    ] = None,
    singles: Annotated[int, typer.Option(help="Single videos that one rater sees.", min=0, max=500)] = 12,
    pairs: Annotated[int, typer.Option(help="Pairs that one rater sees.", min=0, max=500)] = 12,
    checks: Annotated[int, typer.Option(help="Attention checks on top.", min=0, max=20)] = 2,
    seed: Annotated[int, typer.Option(help="Of orders, sides, checks and generated noise.", min=0)] = 0,
) -> None:
    """Make a survey folder: survey.json, whose texts may be edited before the first answer, and media/.

    Example: cssgan survey build --run cssgan=runs/a --run imaginator=runs/b --shards data/letters --out survey
    """
    if (videos is None) == (not run):
        raise OptionError("--videos, --run", "both" if run else "neither", "one of them")
    if run and shards is None:
        raise OptionError("--shards", None, "the dataset whose clips the runs are given")
    if not run and (shards is not None or real):
        raise OptionError("--shards, --real", "without --run", "only with --run")
    runs = named_runs(run)
    from cssgan.survey.build import SurveyOptions, build_survey, sources_from_runs, sources_of

    options = SurveyOptions(
        reference=reference, title=title, lang=lang, contact=contact, consent=consent, singles=singles, pairs=pairs,
        checks=checks, seed=seed,
    )  # fmt: skip
    if videos is not None:
        build_survey(sources_of(videos), out, options, made_from={"videos": str(videos)})
    else:
        assert shards is not None
        made_from = {"runs": run, "shards": str(shards), "split": split, "real": real}
        with tempfile.TemporaryDirectory(prefix="cssgan-survey-") as work:
            sources = sources_from_runs(
                runs, shards, Path(work), split=split, num_items=items, with_real=real, seed=seed
            )
            build_survey(sources, out, options, made_from=made_from)
    typer.echo(f"{out}: ready; try it with `cssgan survey serve {out}`")


def named_runs(texts: list[str], option: str = "--run") -> dict[str, Path]:
    """NAME=RUN, several times -> runs by name. Raises `OptionError` for another form, or a name that comes twice."""
    runs: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not path or not re.fullmatch(r"[\w+ -][\w.+ -]{0,39}", name):
            raise OptionError(option, text, "NAME=RUN, such as cssgan=runs/first; NAME of letters, digits and -_.+")
        if name in runs:
            raise OptionError(option, text, f"another name: {name!r} is {runs[name]} already")
        runs[name] = Path(path)
    return runs


@survey_app.command()
def serve(
    survey: SurveyArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is everybody's.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    root_path: Annotated[str, typer.Option(help="Path under which a reverse proxy shows it, such as /study.")] = "",
    trusted_proxy: Annotated[
        str, typer.Option(help="Address of the proxy whose X-Forwarded-Proto is believed.")
    ] = "127.0.0.1",
) -> None:
    """Serve the survey until Ctrl-C. Answers go to SURVEY/results.sqlite as they come; run it again to go on.

    Example: cssgan survey serve survey --port 8080 --root-path /study
    """
    from cssgan.survey.serve import serve_survey

    serve_survey(survey, host=host, port=port, base=root_path, trusted_proxy=trusted_proxy)


@survey_app.command()
def analyse(
    survey: SurveyArgument,
    out: Annotated[Path | None, typer.Option(help="Folder for the results.  [default: SURVEY]")] = None,
    max_failed: Annotated[int, typer.Option(help="Attention checks that a rater may fail.", min=0)] = 0,
    max_hasty: Annotated[
        float, typer.Option(help="Share of pages that a rater may answer before the videos have ended.", min=0, max=1)
    ] = 0.1,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Count raters who have not finished, too.")] = False,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")] = False,
) -> None:
    """Print Table 2: preference, share of 4s, means, intervals, agreement; write it, and every answer, beside.

    Example: cssgan survey analyse survey --out table2
    """
    try:
        from cssgan.survey.analyse import Rules
        from cssgan.survey.analyse import analyse as run
    except ImportError as error:
        from phonics_data.errors import DependencyError

        raise DependencyError(f"survey analyse needs {error.name}; pip install 'phonics-cssgan[survey]'") from error

    rules = Rules(most_failed=max_failed, most_hasty=max_hasty, unfinished=unfinished)
    report = run(survey, rules=rules, out=out, seed=seed)
    if as_json:
        typer.echo(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        typer.echo(((out or survey) / "analysis.md").read_text(), nl=False)
