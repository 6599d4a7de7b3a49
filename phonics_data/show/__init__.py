"""Visualization of one video: its transcript, screen letters, audio and frames, and the segments found from them.

* `video_evidence` collects the data from the workspace.
* `boundary_reasons` finds what each segment boundary coincides with.
* `timeline` draws the images, `page` writes them with a self-contained HTML page.
"""

from phonics_data.show.page import show

__all__ = ["show"]
