"""What the screen says: the edges of it."""

from __future__ import annotations

import numpy as np

from phonics_data.letters.looks import SightOptions
from phonics_data.letters.sight import decode_sight
from phonics_data.trace import ScreenTrace


def test_a_screen_without_a_single_shape_is_no_alphabet() -> None:
    looks = 40
    trace = ScreenTrace(
        rate=8,
        changed_T=np.zeros(looks, np.float32),
        cut_T=np.zeros(looks, np.bool_),
        edges_TGG=np.zeros((looks, 18, 32), np.uint8),
        look_R=np.zeros(0, np.int32),
        box_R4=np.zeros((0, 4), np.float32),
        letters_R26=np.zeros((0, 26), np.float32),
        colour_R6=np.zeros((0, 6), np.float32),
        after_cut_R=np.zeros(0, np.bool_),
    )
    decoding = decode_sight(trace, SightOptions())
    assert not decoding.is_alphabet
    assert decoding.phrases == ()
    assert decoding.longest_chain == decoding.num_letters == 0
