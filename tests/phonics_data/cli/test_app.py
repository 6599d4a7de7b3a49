"""The entry point of the command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from phonics_data.cli import app


@pytest.fixture(autouse=True)
def _handler_restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def test_lack_of_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    # An allocation that the system refuses at once, on every machine.
    monkeypatch.setattr(app, "app", lambda: bytearray(1 << 62))
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 1
    stderr = capsys.readouterr().err
    assert stderr.startswith("phonics-data: out of memory; ")
    assert stderr.count("\n") == 1
