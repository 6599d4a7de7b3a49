"""`cssgan survey`: a user study on a web page, from videos to Table 2."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cssgan.cli.options import AsJsonOption, SplitName, parse_named_runs
from cssgan.errors import missing_package
from phonics_data.contract.console import printable_json, say
from phonics_data.errors import OptionError

survey_app = typer.Typer(
    name="survey",
    help="A user study on a web page: build it, serve it, analyse its answers.\n\nExample: cssgan survey serve survey",
    no_args_is_help=True,
)
SurveyArgument = Annotated[Path, typer.Argument(help="Survey folder written by `survey build`.")]


@survey_app.command()
def build(
    out: Annotated[Path, typer.Option(help="Survey folder to write.")],
    videos: Annotated[Path | None, typer.Option(help="Folder with MODEL/ITEM.mp4, or CSV (model, item, path).")] = None,
    run: Annotated[
        list[str], typer.Option("--run", metavar="NAME=RUN", help="Generate the videos with this run; can be repeated.")
    ] = [],  # noqa: B006 - typer reads the default, nothing changes it
    shards: Annotated[Path | None, typer.Option("--shards", help="With --run: dataset of the clips.")] = None,
    split: Annotated[SplitName, typer.Option(help="With --run: split of the clips.")] = "test",
    items: Annotated[int, typer.Option(help="With --run: number of clips.", min=1, max=1000)] = 12,
    real: Annotated[bool, typer.Option("--real", help="With --run: add the real videos as a model.")] = False,
    reference: Annotated[str | None, typer.Option(help="Reference model of the pairs; default: the first.")] = None,
    title: Annotated[str, typer.Option(help="Title of the pages.")] = "How well do videos match their sound?",
    lang: Annotated[str, typer.Option(help="Language code of the texts, for screen readers.")] = "en",
    contact: Annotated[str, typer.Option(help="Contact for raters, shown at the foot of each page.")] = "",
    consent: Annotated[Path | None, typer.Option(help="File with the consent text; default: built in.")] = None,
    singles: Annotated[int, typer.Option(help="Single videos per rater.", min=0, max=500)] = 12,
    pairs: Annotated[int, typer.Option(help="Pairs per rater.", min=0, max=500)] = 12,
    checks: Annotated[int, typer.Option(help="Additional attention checks per rater.", min=0, max=20)] = 2,
    seed: Annotated[int, typer.Option(help="Seed of orders, sides, checks and generator noise.", min=0)] = 0,
) -> None:
    """Build a survey folder: survey.json (its texts can be edited before the first answer) and media/.

    Example: cssgan survey build --run cssgan=runs/a --run imaginator=runs/b --shards data/letters --out survey
    """
    if (videos is None) == (not run):
        raise OptionError("--videos, --run", "both" if run else "neither", "one of them")
    if run and shards is None:
        raise OptionError("--shards", None, "the dataset of the clips")
    if not run and (shards is not None or real):
        raise OptionError("--shards, --real", "without --run", "only with --run")
    runs = parse_named_runs(run)
    from cssgan.survey.build import SurveyOptions, build_survey, find_model_videos, generate_model_videos

    options = SurveyOptions(
        reference=reference,
        title=title,
        lang=lang,
        contact=contact,
        consent=consent,
        singles=singles,
        pairs=pairs,
        checks=checks,
        seed=seed,
    )
    if videos is not None:
        build_survey(find_model_videos(videos), out, options, made_from={"videos": str(videos)})
    else:
        assert shards is not None
        made_from = {"runs": run, "shards": str(shards), "split": split, "real": real}
        with tempfile.TemporaryDirectory(prefix="cssgan-survey-") as work:
            generated = generate_model_videos(
                runs, shards, Path(work), split=split, num_items=items, with_real=real, seed=seed
            )
            build_survey(generated, out, options, made_from=made_from)
    say(f"{out}: complete; test it with `cssgan survey serve {out}`")


@survey_app.command()
def serve(
    survey: SurveyArgument,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0: all network interfaces.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0: any free port.", min=0, max=65535)] = 8000,
    root_path: Annotated[str, typer.Option(help="Path prefix at a reverse proxy, such as /study.")] = "",
    trusted_proxy: Annotated[str, typer.Option(help="Proxy whose X-Forwarded-Proto is trusted.")] = "127.0.0.1",
) -> None:
    """Serve the survey until Ctrl-C. Answers are stored in SURVEY/results.sqlite; the same command continues a survey.

    Example: cssgan survey serve survey --port 8080 --root-path /study
    """
    from cssgan.survey.serve import serve_survey

    serve_survey(survey, host=host, port=port, base=root_path, trusted_proxy=trusted_proxy)


@survey_app.command()
def analyse(
    survey: SurveyArgument,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; default: SURVEY.")] = None,
    max_failed: Annotated[int, typer.Option(help="Maximum number of failed attention checks per rater.", min=0)] = 0,
    max_hasty: Annotated[float, typer.Option(help="Maximum share of hasty answers per rater.", min=0, max=1)] = 0.1,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Include raters who did not finish.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.", min=0)] = 0,
    as_json: AsJsonOption = False,
) -> None:
    """Print Table 2: preference, share of "no difference", mean, intervals and inter-rater agreement.

    An answer is hasty if it was given before the videos had ended. Writes analysis.json, analysis.md, answers.parquet
    and answers.csv.

    Example: cssgan survey analyse survey --out table2
    """
    try:
        from cssgan.survey.analyse import ExclusionRules
        from cssgan.survey.analyse import analyse as analyse_survey
    except ImportError as error:
        raise missing_package(error, "survey analyse", "survey") from error

    rules = ExclusionRules(most_failed=max_failed, most_hasty=max_hasty, unfinished=unfinished)
    report = analyse_survey(survey, rules=rules, out=out, seed=seed)
    if as_json:
        say(*printable_json(report, indent=1).split("\n"))
    else:
        say(*((out or survey) / "analysis.md").read_text(encoding="utf-8").rstrip("\n").split("\n"))
