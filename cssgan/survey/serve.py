"""Serve a survey folder with uvicorn."""

from __future__ import annotations

import logging
from pathlib import Path

from cssgan.errors import missing_package
from cssgan.survey.definition import RESULTS_FILE, read_survey
from phonics_data.contract.web import check_base, listen, serve

log = logging.getLogger("cssgan")


def serve_survey(
    folder: Path, *, host: str = "127.0.0.1", port: int = 8000, base: str = "", trusted_proxy: str = "127.0.0.1"
) -> None:
    """Serve until Ctrl-C or SIGTERM. Answers are stored in FOLDER/results.sqlite, also those of a later call.

    Args:
        port: 0: any free port.
        base: path prefix at a reverse proxy, such as ``/study``.
        trusted_proxy: address of the proxy whose X-Forwarded-Proto header is trusted (cookies are then https only).

    Raises:
        InputError: no survey, or results of another survey.
        OptionError: the address is in use or not of this machine, or `base` is not a path.
        DependencyError: the extra ``survey`` is not installed.
    """
    base = check_base(base)
    survey = read_survey(folder)
    try:
        import uvicorn  # noqa: F401 # pyright: ignore[reportUnusedImport] - used later, in `serve`

        from cssgan.survey.app import make_app
    except ImportError as error:
        raise missing_package(error, "survey serve", "survey") from error
    from cssgan.survey.store import Store

    listener = listen(host, port)
    store = Store(folder / RESULTS_FILE, survey.digest())
    try:
        serve(
            make_app(survey, folder, store, base=base),
            listener,
            base=base,
            trusted_proxy=trusted_proxy,
            announce=lambda url: log.info("%s: open %s ; press Ctrl-C to stop", folder, url),
        )
    finally:
        store.close()
        listener.close()
