"""A fixed text embedding of object words: a function of the text and the size, without weights and downloads.

Each character n-gram of the word, with a mark at both ends ("<lion>"), gets a pseudorandom vector (SHAKE-128 of the n-gram),
and the embedding is their sum at unit length. Words that share many n-grams are near each other, others are almost
orthogonal. The n-grams are those of fastText (Bojanowski et al., TACL 2017), whose vectors are learned; these are not, so
they carry spelling and no meaning.
"""

from __future__ import annotations

import functools
import hashlib
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NGRAM_SIZES = (2, 3, 4)
"""Characters of an n-gram."""


def word_vectors(words: Sequence[str], size: int) -> NDArray[np.float32]:
    """`word_vector` of each word, float32 (N, size)."""
    return np.array([word_vector(word, size) for word in words], np.float32).reshape(len(words), size)


@functools.lru_cache(maxsize=4096)
def word_vector(word: str, size: int) -> NDArray[np.float32]:
    """The embedding of `word`, float32 (size,) with norm 1; zeros for an empty word. Read-only.

    Case, surrounding space and the Unicode form of a character do not matter (NFKC).
    """
    text = " ".join(unicodedata.normalize("NFKC", word).casefold().split())
    total = np.zeros(size)
    if text and size:
        marked = f"<{text}>"
        ngrams = (marked[at : at + n] for n in NGRAM_SIZES for at in range(len(marked) - n + 1))
        for ngram in ngrams:
            numbers = np.frombuffer(hashlib.shake_128(ngram.encode()).digest(2 * size), "<i2")
            total += numbers / 32768.0
        total /= np.linalg.norm(total)
    vector = total.astype(np.float32)
    vector.setflags(write=False)
    return vector
