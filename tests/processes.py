"""Programs and servers that tests run beside themselves."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from typing import Any


@contextlib.contextmanager
def waiting_process(program: str, *arguments: object, says: str) -> Generator[subprocess.Popen[str]]:
    """A Python program that has printed the line `says` and reads its standard input; it is killed at the end."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{says}\n"
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def served(app: Any) -> Generator[int]:
    """The port at which an ASGI application is served by a thread of this process."""
    from phonics_data.contract import web
    from phonics_data.contract.web_connections import LimitedServer

    with web.listen("127.0.0.1", 0) as listener:
        server = LimitedServer(app, lifespan="off")
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()
