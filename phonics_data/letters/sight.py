"""Letters read on the screen -> phrases: the same kind of decision as for words, look by look. Pure.

A reading counts most when its letter is new: when it appears, or changes its colour. A letter that goes on moving says
less each time, so that a picture which happens to look like an O and dances through a whole phrase does not outvote
the letter that was shown at its beginning.
"""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phonics_data.letters.lexicon import LETTERS
from phonics_data.letters.path import Order, Run, Scores, TransitionCosts, best_path, runs_of, transition_costs
from phonics_data.letters.phrases import Phrase
from phonics_data.trace import ScreenTrace
from phonics_data.types import ScreenLetter


@dataclass(frozen=True, kw_only=True, slots=True)
class SightOptions:
    """Every number that the decision depends on.

    Args:
        order: as for words (`phonics_data.letters.decode.DecodeOptions`).
        after_cut: weight of what was read because the whole frame was new.
        fading: what each further look at a letter that goes on counts, of the look before.
        least: and the least that it counts.
        again_seconds: a letter that was quiet for so long is new again.
        same_place: so much overlap with where it was and a letter has not moved.
        brighter: more contrast than it had by this factor is no light but a new colour.
        light_seconds: how far back its contrasts are known.
        memory_seconds: how long a letter that is not seen to change is remembered.
        new_colour: so much change of colour (of 255) makes a letter new.
        chart_letters: so many different letters in one look are a chart and say nothing.
        logo_share: a letter that stands at one place in so large a share of the new frames is a logo.
        min_chain: letters of the alphabet's order that a video must show in a row, or
        min_letters: different letters that one in another order must show; else it shows no alphabet.
        stray_chain: rising chains of fewer letters than this are no part of an alphabet of `min_chain` or more.
        ordered_share: a song keeps the order when so large a share of its letters rises through the alphabet.
        faint: less evidence than this in one look is none.
        strong: evidence that a letter must have to be asked for its place in the order.
        least_trust: what a reading is worth where this video shows no letters.
        full_height: shapes as high as this share of the frame count fully, smaller ones less.
        parted_seconds: readings of a letter so far apart are two stays if it was gone meanwhile.
        alike: least likeness of a letter's place to what it was for the letter to be still there, 0..1.
        empty: share of a letter's edges up to which its place is empty.
    """

    order: Order = "auto"
    after_cut: float = 0.5
    fading: float = 0.75
    least: float = 0.1
    again_seconds: float = 0.75
    same_place: float = 0.6
    brighter: float = 1.15
    light_seconds: float = 4.0
    memory_seconds: float = 12.0
    new_colour: float = 40.0
    chart_letters: int = 5
    logo_share: float = 1 / 3
    min_chain: int = 8
    min_letters: int = 12
    stray_chain: int = 4
    ordered_share: float = 0.6
    faint: float = 0.05
    strong: float = 1.5
    least_trust: float = 0.25
    full_height: float = 0.18
    parted_seconds: float = 2.0
    alike: float = 0.6
    empty: float = 0.08
    costs: TransitionCosts = field(default_factory=lambda: TransitionCosts(next=0.2, any_order=0.6))


@dataclass(frozen=True, kw_only=True, slots=True)
class SightDecoding:
    """The phrases that the screen shows.

    Args:
        is_alphabet: False refuses the whole video; `phrases` is then empty.
        longest_chain: letters in the longest stretch that rises through the alphabet by one or two.
        num_letters: different letters on the path.
    """

    phrases: tuple[Phrase, ...]
    is_alphabet: bool
    longest_chain: int
    num_letters: int
    order: Order


LETTER_WEIGHTS = {"I": 0.4, "O": 0.5, "L": 0.7, "C": 0.8, "V": 0.8, "D": 0.9}
"""What looks like many things says less."""


def decode_sight(trace: ScreenTrace, options: SightOptions) -> SightDecoding:
    """The letters that a video shows, with the seconds of each."""
    letters_TL = screen_evidence(trace, options, np.ones(trace.look_R.size))
    # Seen once, it is known where this video shows its letters; what is read elsewhere is mostly a drawing.
    trust_R = _trust(_decide(letters_TL, options)[0], letters_TL, trace, options)
    letters_TL = screen_evidence(trace, options, trust_R)
    runs, order = _decide(letters_TL, options)
    chain, distinct = _longest_chain(runs), len({run.letter for run in runs})
    in_order = chain >= options.min_chain
    strong = [run.letter for run in runs if letters_TL[run.low : run.high, run.letter].sum() >= options.strong]
    # A shuffled alphabet still shows each letter once; whatever else is read comes again and again.
    shuffled = order == "any" and len(set(strong)) >= options.min_letters and len(strong) <= 1.5 * len(set(strong))
    if not in_order and not shuffled:
        return SightDecoding(phrases=(), is_alphabet=False, longest_chain=chain, num_letters=distinct, order=order)
    phrases = _phrases(runs, letters_TL, trace, options)
    return SightDecoding(
        phrases=tuple(phrases), is_alphabet=True, longest_chain=chain, num_letters=distinct, order=order
    )


# --- evidence ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Track:
    """A letter that stays at its place.

    Args:
        colour: RGB of the letter and of its ground when it was last read.
        weight: what its last reading counted.
        waits: it is there and says nothing: it stood in a row before its turn came, or its turn is over.
        known: (look, colour and ground) of late.
    """

    letter: int
    box: NDArray[np.float32]
    colour: NDArray[np.float32]
    look: int
    weight: float
    waits: bool
    known: list[tuple[int, NDArray[np.float32]]]


def screen_evidence(trace: ScreenTrace, options: SightOptions, trust_R: Scores) -> Scores:
    """(looks, 26) what each look says for each letter.

    Args:
        trust_R: (readings,) factor on each reading.
    """
    evidence = np.zeros((trace.changed_T.size, 26))
    weights_L = np.array([LETTER_WEIGHTS.get(letter, 1.0) for letter in LETTERS])
    logo_R = _logos(trace, options)
    tracks: list[_Track] = []
    borders = np.flatnonzero(np.diff(trace.look_R, prepend=-1))
    for low, high in pairwise([*borders, trace.look_R.size]):  # nothing where nothing was read
        look = int(trace.look_R[low])
        rows = [row for row in range(int(low), int(high)) if not logo_R[row] and trace.letters_R26[row].max() >= 0.3]
        rows = _distinct([row for row in rows if row not in _words(rows, trace)], trace)
        best = {int(trace.letters_R26[row].argmax()) for row in rows if trace.letters_R26[row].max() >= 0.8}
        is_chart = len(best) >= options.chart_letters
        known = [_track_of(tracks, trace, row, look) for row in rows]
        waiting = _unmarked([row for row, track in zip(rows, known, strict=True) if track is None], trace, options)
        for row, track in zip(rows, known, strict=True):
            if track is None:
                tracks.append(_new_track(trace, row, look, waits=row in waiting))
                track = tracks[-1]
            else:
                _go_on(track, trace, row, look, options)
            if is_chart or track.waits:
                continue
            height = float(trace.box_R4[row, 3] - trace.box_R4[row, 1])
            share = track.weight * min(1.0, max(height / options.full_height, 0.3)) * trust_R[row]
            share *= options.after_cut if trace.after_cut_R[row] else 1.0
            evidence[look] = np.maximum(evidence[look], share * weights_L * trace.letters_R26[row])
        tracks = [track for track in tracks if look - track.look <= options.memory_seconds * trace.rate]
    # Hints would only make runs of single looks.
    return np.where(evidence >= options.faint, evidence, 0.0)


def _distinct(rows: list[int], trace: ScreenTrace) -> list[int]:
    """One reading a place: the outline of a letter and what it holds are read both, and the outline is often half of one."""
    kept: list[int] = []
    for row in sorted(rows, key=lambda row: -_likely(row, trace)):
        if all(_overlap(trace.box_R4[row], trace.box_R4[other]) < 0.6 for other in kept):
            kept.append(row)
    return sorted(kept)


def _likely(row: int, trace: ScreenTrace) -> float:
    letter = int(trace.letters_R26[row].argmax())
    return float(trace.letters_R26[row, letter]) * LETTER_WEIGHTS.get(LETTERS[letter], 1.0)


def _unmarked(rows: list[int], trace: ScreenTrace, options: SightOptions) -> set[int]:
    """Of three or more letters that came together, those that all but one are like in colour: they wait for their turn."""
    rows = [row for row in rows if trace.letters_R26[row].max() >= 0.8]
    if len({int(trace.letters_R26[row].argmax()) for row in rows}) < 3:
        return set()
    apart = np.abs(trace.colour_R6[rows, None, :3] - trace.colour_R6[None, rows, :3]).max(axis=2) >= options.new_colour
    marked = np.flatnonzero(apart.sum(axis=1) == len(rows) - 1)
    others = np.delete(np.arange(len(rows)), marked)
    is_clear = marked.size == 1 and not apart[np.ix_(others, others)].any()
    return {rows[other] for other in others} if is_clear else set()


def _trust(runs: list[Run], letters_TL: Scores, trace: ScreenTrace, options: SightOptions) -> Scores:
    """(readings,) 1 where this video shows most of its letters, down to `options.least_trust` elsewhere.

    A place is a height on the screen and a size of letter; it is worth as many letters as the path finds there.
    """
    rows: list[int] = []
    for run in runs:
        looks = np.flatnonzero(letters_TL[run.low : run.high, run.letter] > 0) + run.low
        if looks.size and letters_TL[looks, run.letter].sum() >= options.strong:
            rows.append(_best_row(int(looks[letters_TL[looks, run.letter].argmax()]), run.letter, trace))
    if len(rows) < options.min_chain:
        return np.ones(trace.look_R.size)
    middle_R = trace.box_R4[:, [1, 3]].mean(axis=1)
    height_R = trace.box_R4[:, 3] - trace.box_R4[:, 1]
    level = np.abs(middle_R[:, None] - middle_R[rows][None]) < 0.1
    alike = np.abs(np.log(height_R[:, None] / height_R[rows][None])) < 0.3
    letters = np.array([int(trace.letters_R26[row].argmax()) for row in rows])
    counts = np.array([np.unique(letters[near]).size for near in level & alike])
    most = max(int(counts[rows].max()), 1)
    return np.clip(2 * counts / most, options.least_trust, 1.0)


def _words(rows: list[int], trace: ScreenTrace) -> set[int]:
    """Rows of letters that stand close in one line and are no piece of the alphabet: titles, object words."""
    ordered = sorted(rows, key=lambda row: float(trace.box_R4[row, 0]))
    words: set[int] = set()
    for line in _lines(ordered, trace.box_R4):
        letters = trace.letters_R26[line].argmax(axis=1)
        if len(line) >= 3 and not (np.diff(letters) >= 0).all():
            words.update(line)
    return words


def _lines(ordered: list[int], box_R4: NDArray[np.float32]) -> list[list[int]]:
    """Rows (from left to right) in groups of neighbours of similar height with gaps as inside a word."""
    lines: list[list[int]] = []
    for row in ordered:
        left, top, _, bottom = box_R4[row]
        for line in lines:
            _, top_before, right, bottom_before = box_R4[line[-1]]
            height, height_before = bottom - top, bottom_before - top_before
            shared = min(bottom, bottom_before) - max(top, top_before)
            # Boxes are shares of width and height; 9/16 makes them comparable.
            gap = (left - right) / (9 / 16)
            alike = 0.5 < height / height_before < 2 and shared > 0.5 * min(height, height_before)
            if alike and -0.2 * height < gap < 0.35 * max(height, height_before):
                line.append(row)
                break
        else:
            lines.append([row])
    return lines


def _track_of(tracks: list[_Track], trace: ScreenTrace, row: int, look: int) -> _Track | None:
    """The track that this reading goes on with; None for a letter that was not there."""
    letter, box = int(trace.letters_R26[row].argmax()), trace.box_R4[row]
    near = [track for track in tracks if track.letter == letter and track.look != look]
    return max(
        (track for track in near if _overlap(track.box, box) >= 0.2),
        key=lambda track: _overlap(track.box, box),
        default=None,
    )


def _new_track(trace: ScreenTrace, row: int, look: int, *, waits: bool) -> _Track:
    letter, colour = int(trace.letters_R26[row].argmax()), trace.colour_R6[row]
    return _Track(letter, trace.box_R4[row], colour, look, 1.0, waits, [(look, colour)])


def _go_on(track: _Track, trace: ScreenTrace, row: int, look: int, options: SightOptions) -> None:
    """Bring a track up to date with a further reading: is its letter new again, the same, or left?"""
    box, colour = trace.box_R4[row], trace.colour_R6[row]
    track.known = [one for one in track.known if look - one[0] <= options.light_seconds * trace.rate] or track.known[
        -1:
    ]
    known = [one for _, one in track.known]
    has_moved = _overlap(track.box, box) < options.same_place
    has_new_colour = np.abs(track.colour - colour)[:3].max() >= options.new_colour and not any(
        _is_lit(one, colour, options) for one in known
    )
    if any(_is_weaker(one, colour, options) for one in known):
        track.waits = True
    elif has_new_colour or (has_moved and (track.waits or (look - track.look) / trace.rate >= options.again_seconds)):
        track.weight, track.waits = 1.0, False
    else:
        track.weight = max(track.weight * options.fading, options.least)
    track.box, track.colour, track.look = box, colour, look
    track.known.append((look, colour))


def _is_lit(before_6: NDArray[np.float32], now_6: NDArray[np.float32], options: SightOptions) -> bool:
    """Whether a letter stands against its ground as before, or less: light that falls on both leaves that of their contrast."""
    before, now = before_6[:3] - before_6[3:], now_6[:3] - now_6[3:]
    share = _share(before, now)
    return 0 < share <= options.brighter and float(np.abs(now - share * before).max()) < options.new_colour


def _is_weaker(before_6: NDArray[np.float32], now_6: NDArray[np.float32], options: SightOptions) -> bool:
    """Whether a letter's colour has gone towards its ground's, which has not changed: its turn in a row is over."""
    step, ground = np.abs(now_6[:3] - before_6[:3]).max(), np.abs(now_6[3:] - before_6[3:]).max()
    if step < 15 or ground > 0.5 * step:
        return False
    return _share(before_6[:3] - before_6[3:], now_6[:3] - now_6[3:]) < 0.95 and _is_lit(before_6, now_6, options)


def _share(before_3: NDArray[np.float32], now_3: NDArray[np.float32]) -> float:
    """How much of `before_3` is in `now_3`."""
    size = float(before_3 @ before_3)
    return float(now_3 @ before_3) / size if size > 0 else 1.0


def _overlap(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    shared = float(np.prod(np.maximum(high - low, 0)))
    return shared / float(np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - shared)


def _logos(trace: ScreenTrace, options: SightOptions) -> NDArray[np.bool_]:
    """(readings,) True for letters that stand at one place in many of the frames that follow a cut."""
    is_logo = np.zeros(trace.look_R.size, np.bool_)
    rows = np.flatnonzero(trace.after_cut_R & (trace.letters_R26.max(axis=1, initial=0) >= 0.3))
    num_frames = np.unique(trace.look_R[trace.after_cut_R]).size
    if num_frames < 6:
        return is_logo
    letters = trace.letters_R26.argmax(axis=1)
    for row in rows:
        same = [
            other
            for other in rows
            if letters[other] == letters[row] and np.abs(trace.box_R4[other] - trace.box_R4[row]).max() < 0.02
        ]
        if np.unique(trace.look_R[same]).size > options.logo_share * num_frames:
            near = np.abs(trace.box_R4 - trace.box_R4[row]).max(axis=1) < 0.03
            is_logo |= near & (letters == letters[row])
    return is_logo


def screen_letters(video_id: str, trace: ScreenTrace) -> list[ScreenLetter]:
    """Every letter that was read, from its first to its last sight at one place; for tables and pictures."""
    stays: list[tuple[_Track, int, float, int]] = []
    tracks: list[_Track] = []
    for row in np.flatnonzero(trace.letters_R26.max(axis=1, initial=0) >= 0.8).tolist():
        look, score = int(trace.look_R[row]), float(trace.letters_R26[row].max())
        track = _track_of(tracks, trace, row, look)
        if track is None:
            tracks.append(track := _new_track(trace, row, look, waits=False))
        track.box, track.look = trace.box_R4[row], look
        known = next((index for index, stay in enumerate(stays) if stay[0] is track), None)
        if known is None:
            stays.append((track, look, score, row))
        else:
            _, first, best, best_row = stays[known]
            stays[known] = (track, first, max(best, score), row if score > best else best_row)
        tracks = [track for track in tracks if look - track.look <= 2 * trace.rate]
    return [
        ScreenLetter(
            video_id=video_id,
            letter=LETTERS[track.letter],
            start_seconds=first / trace.rate,
            end_seconds=(track.look + 1) / trace.rate,
            score=round(score, 3),
            box=(*(round(float(side), 4) for side in trace.box_R4[row]),),  # pyright: ignore[reportArgumentType]
        )
        for track, first, score, row in stays
    ]


# --- path ----------------------------------------------------------------------------------------------------------


def _decide(letters_TL: Scores, options: SightOptions) -> tuple[list[Run], Order]:
    none_T = np.zeros(letters_TL.shape[0])

    def path(order: Order) -> NDArray[np.int64]:
        return best_path(letters_TL, none_T, transition_costs(options.costs, order))

    order = options.order
    if order == "auto":
        strong = [
            run.letter
            for run in runs_of(path("any"))
            if letters_TL[run.low : run.high, run.letter].sum() >= options.strong
        ]
        order = "strict" if _longest_rise(strong) >= options.ordered_share * len(set(strong)) else "any"
    runs = runs_of(path(order))
    return (
        (_without_strays(runs, options), order)
        if order == "strict"
        else (_first_of_each(runs, letters_TL, options), order)
    )


def _longest_rise(letters: list[int]) -> int:
    """Length of the longest strictly rising subsequence; of 26 shuffled letters it is about 9."""
    tails: list[int] = []
    for letter in letters:
        place = bisect.bisect_left(tails, letter)
        tails[place : place + 1] = [letter]
    return len(tails)


def _tight_chains(runs: list[Run]) -> list[list[Run]]:
    """The runs in stretches that rise through the alphabet by one to three letters."""
    chains: list[list[Run]] = []
    for run in runs:
        if chains and 1 <= run.letter - chains[-1][-1].letter <= 3:
            chains[-1].append(run)
        else:
            chains.append([run])
    return chains


def _longest_chain(runs: list[Run]) -> int:
    return max((len(chain) for chain in _tight_chains(runs)), default=0)


def _without_strays(runs: list[Run], options: SightOptions) -> list[Run]:
    """Without titles, choruses and end cards: short chains beside a long one, unless they lie between its parts."""
    chains = _tight_chains(runs)
    if max((len(chain) for chain in chains), default=0) < options.min_chain:
        return runs
    kept: list[Run] = []
    for index, chain in enumerate(chains):
        before = kept[-1].letter if kept else -1
        after = chains[index + 1][0].letter if index + 1 < len(chains) else 26
        if len(chain) >= options.stray_chain or before < chain[0].letter <= chain[-1].letter < after:
            kept.extend(chain)
    return kept


def _first_of_each(runs: list[Run], letters_TL: Scores, options: SightOptions) -> list[Run]:
    """Of a song without order, the run of each letter with the most evidence: a shuffled alphabet shows each once.

    All runs of a song that shows most of its letters more than once: it goes through them in rounds.
    """
    strength = {run: float(letters_TL[run.low : run.high, run.letter].sum()) for run in runs}
    best: dict[int, Run] = {}
    times: Counter[int] = Counter()
    for run in runs:
        times[run.letter] += strength[run] >= options.strong
        if run.letter not in best or strength[run] > strength[best[run.letter]]:
            best[run.letter] = run
    in_rounds = sum(count > 1 for count in times.values()) > 0.6 * len(best)
    return runs if in_rounds else [run for run in runs if best[run.letter] == run]


# --- phrases -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One letter's stay: its run, the looks at which it was read, and the box of its first and last reading."""

    run: Run
    looks: NDArray[np.int64]
    first_box: NDArray[np.float32]
    last_box: NDArray[np.float32]


def _phrases(runs: list[Run], letters_TL: Scores, trace: ScreenTrace, options: SightOptions) -> list[Phrase]:
    """Spans with boundaries from the picture: cuts, and when the letters' places fill and empty."""
    sightings = [sighting for run in runs if (sighting := _sighting(run, letters_TL, trace, options)) is not None]
    phrases: list[Phrase] = []
    starts = [
        _start(sighting, int(before.looks[-1]) if before else 0, trace, options)
        for before, sighting in zip([None, *sightings[:-1]], sightings, strict=True)
    ]
    for index, (sighting, start) in enumerate(zip(sightings, starts, strict=True)):
        next_start = starts[index + 1] if index + 1 < len(starts) else trace.changed_T.size / trace.rate
        end = min(_end(sighting, trace, options), next_start)
        run = sighting.run
        sums = letters_TL[run.low : run.high].sum(axis=0)
        margin = sums[run.letter] - np.delete(sums, run.letter).max()
        phrases.append(
            Phrase(
                letter=LETTERS[run.letter],
                object_word=None,
                start_seconds=start,
                end_seconds=max(end, start),
                confidence=round(float(1 - np.exp(-max(margin, 0.0))), 3),
                evidence="screen",
            )
        )
    return phrases


def _sighting(run: Run, letters_TL: Scores, trace: ScreenTrace, options: SightOptions) -> _Sighting | None:
    """The letter's main stay: what was read of it long before or after, when it had gone meanwhile, is a title or an end card."""
    looks = np.flatnonzero(letters_TL[run.low : run.high, run.letter] > 0) + run.low
    if not looks.size:
        return None
    parted = [
        (after - before) >= options.parted_seconds * trace.rate and _was_gone(before, after, run.letter, trace, options)
        for before, after in pairwise(looks.tolist())
    ]
    stays = np.split(looks, np.flatnonzero(parted) + 1)
    looks = max(stays, key=lambda stay: float(letters_TL[stay, run.letter].sum()))
    looks = np.union1d(looks, _further_looks(run, looks, trace, options))
    first, last = (trace.box_R4[_best_row(int(look), run.letter, trace)] for look in (looks[0], looks[-1]))
    return _Sighting(run, looks, first, last)


def _further_looks(run: Run, looks: NDArray[np.int64], trace: ScreenTrace, options: SightOptions) -> NDArray[np.int64]:
    """Later looks at which the letter was read too, so faded that they were no evidence; it was still there."""
    size = trace.box_R4[_best_row(int(looks[-1]), run.letter, trace)]
    height = trace.box_R4[:, 3] - trace.box_R4[:, 1]
    is_same = (trace.letters_R26.argmax(axis=1) == run.letter) & (trace.letters_R26.max(axis=1) >= 0.5)
    is_same &= np.abs(np.log(height / (size[3] - size[1]))) < 0.3
    later = trace.look_R[is_same & (trace.look_R > looks[-1]) & (trace.look_R < run.high)].astype(np.int64)
    apart = np.flatnonzero(np.diff(np.concatenate([looks[-1:], later])) > options.parted_seconds * trace.rate)
    return later[: int(apart[0])] if apart.size else later


def _was_gone(before: int, after: int, letter: int, trace: ScreenTrace, options: SightOptions) -> bool:
    """Whether the letter that was read at look `before` was gone before it was read again at look `after`."""
    row = _best_row(before, letter, trace)
    place_TGG = _cells(trace.box_R4[row], trace)[before:after]
    return bool((_likeness(place_TGG, place_TGG[0]) < options.alike).any())


def _best_row(look: int, letter: int, trace: ScreenTrace) -> int:
    rows = np.flatnonzero(trace.look_R == look)
    return int(rows[trace.letters_R26[rows, letter].argmax()])


def _likeness(place_TGG: NDArray[np.float64], shown_GG: NDArray[np.float64]) -> NDArray[np.float64]:
    """(looks,) 1 where a place looks as in `shown_GG`, 0 where the edges have nothing in common."""
    differs = np.abs(place_TGG - shown_GG).sum(axis=(1, 2))
    return 1 - differs / np.maximum((place_TGG + shown_GG).sum(axis=(1, 2)), 1.0)


def _cells(box: NDArray[np.float32], trace: ScreenTrace) -> NDArray[np.float64]:
    """(looks, rows, columns) edge strength in the cells of the grid that `box` covers."""
    rows, columns = trace.edges_TGG.shape[1:]
    left, top = int(box[0] * columns), int(box[1] * rows)
    right, bottom = max(left + 1, round(float(box[2]) * columns)), max(top + 1, round(float(box[3]) * rows))
    return trace.edges_TGG[:, top:bottom, left:right].astype(np.float64)


def _start(sighting: _Sighting, last_before: int, trace: ScreenTrace, options: SightOptions) -> float:
    """When the letter begins to be seen: the last cut before its first reading, else when its place begins to fill,
    else, where it was there before (a row of letters), the largest change just before."""
    first = int(sighting.looks[0])
    # What a look shows for the first time came on average half a look before it.
    half = 0.5 / trace.rate
    low = max(min(last_before + 1, first), first - 3 * trace.rate, 0)
    window = np.arange(low, first + 1)
    cuts = window[trace.cut_T[window]]
    if cuts.size:
        return max(float(cuts[-1]) / trace.rate - half, 0.0)
    strength = _cells(sighting.first_box, trace)[window].mean(axis=(1, 2))
    floor, full = strength.min(), strength[-1]
    if full - floor > 0.4 * full:
        empty = np.flatnonzero(strength <= floor + options.empty * (full - floor))
        return max((float(window[empty[-1]]) + 1) / trace.rate - half, 0.0)
    near = window[window > first - 0.3 * trace.rate]
    return max(float(near[int(trace.changed_T[near].argmax())]) / trace.rate - half, 0.0)


def _end(sighting: _Sighting, trace: ScreenTrace, options: SightOptions) -> float:
    """When the letter is gone: the next cut, else when its place has emptied or shows something else."""
    last = int(sighting.looks[-1])
    half = 0.5 / trace.rate
    place_TGG = _cells(sighting.last_box, trace)[last:]
    gone = trace.cut_T[last:] | (_likeness(place_TGG, place_TGG[0]) < options.alike)
    gone[0] = False
    if gone.any():
        return float(last + int(np.flatnonzero(gone)[0])) / trace.rate - half
    return trace.changed_T.size / trace.rate
