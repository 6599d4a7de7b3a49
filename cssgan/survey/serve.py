"""Serve a survey folder with uvicorn."""

from __future__ import annotations

import logging
import re
import socket
from pathlib import Path

from cssgan.errors import missing_package
from cssgan.survey.definition import RESULTS_FILE, read_survey
from phonics_data.errors import OptionError

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
    base = base.rstrip("/")
    if base and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", base):
        raise OptionError("--root-path", base, "a path such as /study")
    survey = read_survey(folder)
    try:
        import uvicorn

        from cssgan.survey.app import make_app
    except ImportError as error:
        raise missing_package(error, "survey serve", "survey") from error
    from cssgan.survey.store import Store

    listener = _listen(host, port)
    store = Store(folder / RESULTS_FILE, survey.digest())
    try:
        # No access log, because the consent text promises that no address is stored.
        config = uvicorn.Config(
            make_app(survey, folder, store, base=base), log_level="warning", access_log=False, server_header=False,
            proxy_headers=True, forwarded_allow_ips=trusted_proxy, timeout_keep_alive=10, timeout_graceful_shutdown=5,
            lifespan="off",
        )  # fmt: skip
        address, bound_port = listener.getsockname()[:2]
        log.info(
            "%s: open http://%s:%d%s/ ; press Ctrl-C to stop",
            folder,
            f"[{address}]" if ":" in address else address,
            bound_port,
            base,
        )
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        store.close()
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        raise OptionError("--host, --port", f"{host} {port}", f"a free address of this machine ({error})") from error
