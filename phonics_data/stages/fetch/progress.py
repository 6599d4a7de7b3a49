"""Callbacks of a running fetch. The base class ignores them; displays override what they show."""

from __future__ import annotations

from phonics_data.types import FetchStatus


class FetchProgress:
    """Called from every fetching thread: overriding methods must be thread-safe."""

    def run_started(self, num_videos: int, num_finished: int) -> None:
        """A run over `num_videos` starts; `num_finished` of them need no work."""

    def video_started(self, video_id: str) -> None:
        """A worker starts to fetch `video_id`."""

    def bytes_received(
        self, video_id: str, num_bytes: int, total_bytes: int | None, bytes_per_second: float | None
    ) -> None:
        """`num_bytes` of the current file have been received."""

    def waiting(self, video_id: str, seconds: float, why: str) -> None:
        """The worker waits for `seconds`."""

    def video_finished(self, video_id: str, status: FetchStatus, detail: str) -> None:
        """`video_id` has its status."""

    def run_stopped(self, why: str) -> None:
        """No further video is started."""
