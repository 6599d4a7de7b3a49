"""The picture of rendered clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.rendered_clips import draw_rendered_clips
from phonics_data.errors import TableError
from phonics_data.sources.synthetic.render import render_songs


@pytest.mark.slow
def test_one_row_of_frames_for_each_style(tmp_path: Path) -> None:
    render_songs(tmp_path, num_songs=1, seed=2, unseen_style_songs=1)
    sheet = draw_rendered_clips(tmp_path)
    assert sheet.size == (14 * 96, 2 * 112)
    rows = [np.asarray(sheet, np.float64)[top + 16 : top + 112] for top in (0, 112)]
    assert np.abs(rows[0] - rows[1]).mean() > 20, "two styles look alike"
    for row in rows:
        assert np.abs(row[:, :96] - row[:, -96:]).mean() > 2, "nothing happens in the phrase"


def test_songs_without_styles_are_refused(songs: Path) -> None:
    with pytest.raises(TableError, match="--family phrases"):
        draw_rendered_clips(songs)
