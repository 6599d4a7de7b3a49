"""A review server in a process of its own, on a workspace with rendered songs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class ReviewServer:
    """`phonics-data review`. `start` again after `kill` uses the same port."""

    work: Path
    arguments: tuple[str, ...] = ()
    port: int = 0
    base: str = ""
    process: subprocess.Popen[str] | None = None

    def start(self) -> ReviewServer:
        command = [sys.executable, "-m", "phonics_data", "review", "--work", str(self.work), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--reviewer", "Ada", *self.arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "has imported labels" in line:
            line = self.process.stdout.readline()
        found = re.search(r"open http://127\.0\.0\.1:(\d+)(\S*)/ ", line)
        if found is None:
            text = line + self.process.stdout.read()
            self.process.wait(timeout=30)
            self._close()
            raise AssertionError(text)
        self.port, self.base = int(found[1]), found[2]
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base}"

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._close()

    def stop(self) -> str:
        """End it as Ctrl-C does; returns what it printed after its first line."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        text = self.process.stdout.read()
        self._close()
        return text

    def _close(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.stdout.close()

    def memory_mb(self) -> float:
        """Largest resident memory of the process so far."""
        assert self.process is not None
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1]) / 1000

    def send(
        self,
        method: str,
        path: str,
        value: object = None,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[int, Any]:
        """(status, JSON value or bytes)."""
        data = body if body is not None else None if value is None else json.dumps(value).encode()
        sent = {**({} if data is None else {"Content-Type": "application/json"}), **(headers or {})}
        request = urllib.request.Request(self.url + path, data, sent, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, content, kind = answer.status, answer.read(), answer.headers.get_content_type()
        except urllib.error.HTTPError as error:
            with error:
                status, content, kind = error.code, error.read(), error.headers.get_content_type()
        return status, json.loads(content) if kind == "application/json" else content
