"""Which stream of a container is shown and heard: one rule for every reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.stream import Stream


def video_stream(container: InputContainer) -> av.VideoStream | None:
    """The decodable video stream that players select: the default one, else the first. Cover pictures are no video."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.still_image
    streams = [one for one in container.streams.video if _has_decoder(one) and not one.disposition & still]
    return next((one for one in streams if _is_default(one)), streams[0] if streams else None)


def audio_stream(container: InputContainer, language: str = "en") -> av.AudioStream | None:
    """The decodable audio stream of the song, the first of those that are left after each rule:

    1. not commentary, audio description, or sound for people who hear badly;
    2. at least half as long as the longest one, as far as the header gives lengths;
    3. marked as the original, not as a dub;
    4. the default one, if only some are;
    5. in `language`, if the streams name languages;
    6. in file order.

    Args:
        language: code of two or three letters; datasets are made of songs in English.
    """
    from av.stream import Disposition

    special = (
        Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired | Disposition.clean_effects
    )
    streams = [one for one in container.streams.audio if _has_decoder(one)]
    longest = max(map(_seconds, streams), default=0.0)
    for rule in (
        lambda one: not one.disposition & special,
        lambda one: not 0 < _seconds(one) < longest / 2,
        lambda one: bool(one.disposition & Disposition.original),
        lambda one: not one.disposition & Disposition.dub,
        lambda one: bool(one.disposition & Disposition.default),
        lambda one: bool(language) and same_language(one.language, language),
    ):  # fmt: skip
        streams = [one for one in streams if rule(one)] or streams
    return streams[0] if streams else None


def describe_choice(container: InputContainer, chosen: av.AudioStream) -> str:
    """Which of several audio streams was chosen, in words; empty if there is only one."""
    streams = container.streams.audio
    if len(streams) < 2:
        return ""
    names = [f"{one.language or 'unknown language'}{' (default)' if _is_default(one) else ''}" for one in streams]
    number = [one.index for one in streams].index(chosen.index)
    return f"audio stream {number + 1} of {len(streams)} used: {names[number]}; streams: {', '.join(names)}"


def same_language(code: str | None, other: str) -> bool:
    """Whether two language codes of two or three letters, with or without a region, name the same language."""
    first, second = (_THREE_LETTERS.get(part, part) for part in (_primary(code or ""), _primary(other)))
    return bool(first) and first == second


def _primary(code: str) -> str:
    return code.replace("_", "-").split("-")[0].lower()


# ISO 639-2 codes that containers write, both forms, of the languages that have two letters and many videos.
_THREE_LETTERS: dict[str, str] = {
    pair[:3]: pair[4:]
    for pair in (
        "eng=en deu=de ger=de fra=fr fre=fr spa=es por=pt ita=it nld=nl dut=nl pol=pl tur=tr ind=id rus=ru jpn=ja zho=zh "
        "chi=zh kor=ko hin=hi ara=ar heb=he vie=vi tha=th ukr=uk ces=cs cze=cs swe=sv dan=da nor=no fin=fi ell=el gre=el "
        "hun=hu ron=ro rum=ro ben=bn tam=ta tel=te urd=ur fas=fa per=fa msa=ms may=ms fil=tl tgl=tl"
    ).split()
}


def _seconds(stream: Stream) -> float:
    """Length by the header; 0 if it has none. Matroska files have a tag, as FFmpeg and mkvmerge write it."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = map(float, parts)
    except ValueError:
        return 0.0
    return hours * 3600 + minutes * 60 + seconds


def _is_default(stream: Stream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & Disposition.default)


def _has_decoder(stream: Stream) -> bool:
    # The context is None for unknown codecs; the type stubs lack this.
    return cast("object | None", stream.codec_context) is not None
