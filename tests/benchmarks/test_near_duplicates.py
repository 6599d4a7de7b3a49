"""The synthetic hashes collide like those of real clips, and the benchmark counts what the search finds."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.near_duplicates import MATERIALS, hash_statistics, make_candidates, measure_search, song_hashes
from phonics_data.errors import OptionError


def test_hashes_are_distributed_like_those_of_real_clips() -> None:
    image_NB, audio_NB = song_hashes(40, np.random.default_rng(1))
    found = hash_statistics([str(row // 26) for row in range(len(image_NB))], image_NB, audio_NB)
    assert 0.2 < found.still_share < 0.5
    assert found.image_bits_other_source[0] < 16 < found.image_bits_other_source[2]
    assert found.image_bits_same_source[1] < 30
    assert found.audio_bits[1] == pytest.approx(15, abs=2)


@pytest.mark.parametrize("material", MATERIALS)
def test_each_material_gives_the_number_of_clips(material: str) -> None:
    candidates = make_candidates(1000, material, 1)
    assert len({candidate.sample_id for candidate in candidates}) == 1000
    found = measure_search(1000, material, 1)
    assert found.num_clips == 1000
    assert 50 < found.num_duplicates <= 999
    assert found.peak_bytes > 0


def test_equal_clips_form_one_group() -> None:
    assert measure_search(520, "equal", 1).num_groups == 1


def test_unknown_material_is_refused() -> None:
    with pytest.raises(OptionError, match="songs, one-label"):
        measure_search(10, "music", 1)
