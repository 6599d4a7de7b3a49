"""A fake cloud for the tests of one process, and a recognizer with credentials for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from phonics_data.recognizers.google import Google, GoogleOptions
from tests.phonics_data.recognizers.fake_google_cloud import Cloud, running

NewGoogle = Callable[..., Google]


@pytest.fixture(scope="session")
def the_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as patch:
        # gRPC reads the root certificates once, at the first channel of the process.
        patch.setenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", str(folder / "roots.pem"))
        patch.setenv("REQUESTS_CA_BUNDLE", str(folder / "roots.pem"))
        patch.setenv("NO_GCE_CHECK", "true")
        patch.setenv("no_proxy", "localhost,127.0.0.1")
        patch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
        with running(folder) as cloud:
            yield cloud


@pytest.fixture
def cloud(the_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The cloud in its initial state, with credentials in the environment."""
    the_cloud.reset()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(the_cloud.key_file))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", the_cloud.storage)
    return the_cloud


@pytest.fixture
def new_google(cloud: Cloud, tmp_path: Path) -> NewGoogle:
    """Makes recognizers with a common cache folder and short retry pauses."""

    def make(**options: Any) -> Google:
        quick = {"endpoint": cloud.endpoint, "may_send": True, "first_pause_seconds": 0.01, "retry_seconds": 5.0}
        return Google(GoogleOptions(**{**quick, **options}), folder=tmp_path / "cache")

    return make
