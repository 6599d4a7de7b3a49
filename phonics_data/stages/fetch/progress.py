"""What can be seen of fetching while it runs. The base class looks away; displays override what they show."""

from __future__ import annotations

from phonics_data.types import FetchStatus


class FetchProgress:
    """Called from every thread that fetches, so overriding methods must bear that."""

    def began(self, num_videos: int, num_finished: int) -> None:
        """A run over `num_videos` starts; `num_finished` of them need no work."""

    def started(self, video_id: str) -> None:
        """A worker took up `video_id`."""

    def moved(self, video_id: str, num_bytes: int, total_bytes: int | None, bytes_per_second: float | None) -> None:
        """`num_bytes` of the file that is under way have come."""

    def waits(self, video_id: str, seconds: float, why: str) -> None:
        """Nothing happens for `seconds`."""

    def ended(self, video_id: str, status: FetchStatus, detail: str) -> None:
        """`video_id` has its status."""

    def stopped(self, why: str) -> None:
        """No further video will be taken up."""
