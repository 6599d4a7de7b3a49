"""What the form accepts, and the cards that it draws; without Gradio."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import cssgan
from cssgan.storage import media_files
from cssgan.web_form.inputs import (
    CARD_COLOURS,
    CARD_SIZE,
    FormInputs,
    FormLimits,
    check_picture,
    check_sound,
    draw_card,
    make_video,
)
from phonics_data.errors import InputError
from tests.cssgan.inference.test_generate import save_run, write_audio
from tests.cssgan.inference.test_object import WITH_OBJECT


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Usable files ``card.png``, ``a.wav``, and others that are not."""
    Image.new("RGB", (80, 60), "red").save(tmp_path / "card.png")
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    Image.new("1", (20000, 10000)).save(tmp_path / "bomb.png")
    write_audio(tmp_path / "a.wav", 0.5)
    write_audio(tmp_path / "long.wav", 3.2, rate_hz=8000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0, np.float32), 16_000)
    Image.new("RGB", (80, 60), "red").save(tmp_path / "a.bmp")
    Image.new("RGB", (80, 60), "red").save(tmp_path / "eps.png", format="EPS")
    soundfile.write(tmp_path / "a.aiff", np.zeros(8000, np.float32), 16_000)
    soundfile.write(tmp_path / "caf.wav", np.zeros(8000, np.float32), 16_000, format="CAF")
    soundfile.write(tmp_path / "many.wav", np.zeros((100, 9), np.float32), 16_000)
    soundfile.write(tmp_path / "fast.flac", np.zeros((2_500_001, 8), np.int16), 655_350)
    thing = Image.new("RGB", (80, 60), "white")
    thing.paste("red", (20, 20, 50, 50))
    thing.save(tmp_path / "thing.png")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "large.wav").write_bytes(bytes(2_100_000))
    video = np.zeros((5, 16, 16, 3), np.uint8)
    media_files.write_mp4(tmp_path / "clip.mp4", video, 25, np.zeros(4000, np.float32), 16_000)  # type: ignore[arg-type]
    return tmp_path


@pytest.mark.parametrize(
    ("picture", "sound", "label", "message"),
    [
        (None, "a.wav", "L", "no picture; upload one, or draw a card"),
        ("card.png", None, "L", "no sound; upload one, or record it"),
        ("card.png", "a.wav", None, "no letter; choose one"),
        ("card.png", "a.wav", "?", "'?'"),
        ("text.png", "a.wav", "L", "text.png: is not a picture that can be read; allowed: png, jpeg, webp"),
        ("clip.mp4", "a.wav", "L", "clip.mp4: is not a picture"),
        ("a.wav", "a.wav", "L", "a.wav: is not a picture"),
        ("huge.png", "a.wav", "L", "huge.png: 9000x9000 pixels, allowed: up to 50 million"),
        ("bomb.png", "a.wav", "L", "bomb.png: Image size"),
        ("a.bmp", "a.wav", "L", "a.bmp: is not a picture that can be read; allowed: png, jpeg, webp"),
        ("eps.png", "a.wav", "L", "eps.png: is not a picture that can be read; allowed: png, jpeg, webp"),
        ("card.png", "a.aiff", "L", "a.aiff: is a sound of format AIFF; allowed: wav, flac, ogg, mp3"),
        ("card.png", "caf.wav", "L", "caf.wav: is a sound of format CAF; allowed: wav, flac, ogg, mp3"),
        ("card.png", "many.wav", "L", "many.wav: 9 channels, allowed: up to 8; send mono or stereo"),
        ("card.png", "fast.flac", "L", "fast.flac: 20000008 samples in 8 channels, allowed: up to 20000000"),
        ("gone.png", "a.wav", "L", "gone.png: cannot be read"),
        ("card.png", "empty.wav", "L", "empty.wav: is empty"),
        ("card.png", "none.wav", "L", "none.wav: contains no sound"),
        ("card.png", "clip.mp4", "L", "clip.mp4: is not a sound that can be read; allowed: wav, flac, ogg, mp3"),
        ("card.png", "card.png", "L", "card.png: is not a sound"),
        ("card.png", "long.wav", "L", "long.wav: lasts 3.2 s, allowed: up to 3 s; send one phrase"),
        ("card.png", "large.wav", "L", "large.wav: 2.1 MB, allowed: up to 2 MB"),
    ],
)
def test_unusable_inputs_are_one_line_without_folders(
    files: Path, picture: str | None, sound: str | None, label: str | None, message: str
) -> None:
    model = cssgan.load_generator(save_run(files / "run"))
    inputs = FormInputs(
        picture=None if picture is None else files / picture,
        sound=None if sound is None else files / sound,
        label=label,
    )

    with pytest.raises(InputError) as refused:
        make_video(model, inputs, files / "out.mp4", FormLimits(max_seconds=3, max_megabytes=2))

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(files) not in str(refused.value)
    assert not (files / "out.mp4").exists()


@pytest.mark.parametrize(
    ("settings", "picture", "word", "message"),
    [
        (WITH_OBJECT, "text.png", "", "text.png: is not a picture that can be read; allowed: png, jpeg, webp"),
        (WITH_OBJECT, "huge.png", "", "huge.png: 9000x9000 pixels, allowed: up to 50 million"),
        (WITH_OBJECT, "card.png", "", "card.png: shows no object, only one colour or transparent pixels"),
        (WITH_OBJECT, None, "long " * 14, "word of the object: 69 characters, allowed: up to 64"),
        ((), "thing.png", "", "model.object_condition"),
        ((), None, "lion", "model.word_dim"),
    ],
)
def test_unusable_objects_are_one_line_without_folders(
    files: Path, settings: tuple[str, ...], picture: str | None, word: str, message: str
) -> None:
    model = cssgan.load_generator(save_run(files / "run", *settings))
    inputs = FormInputs(
        picture=files / "card.png",
        sound=files / "a.wav",
        label="L",
        object_picture=None if picture is None else files / picture,
        object_word=word,
    )

    with pytest.raises(InputError) as refused:
        make_video(model, inputs, files / "out.mp4", FormLimits())

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(files) not in str(refused.value)
    assert not (files / "out.mp4").exists()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_formats_of_pictures_that_are_accepted(tmp_path: Path, name: str) -> None:
    Image.new("RGB", (80, 60), "red").save(tmp_path / name)

    check_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "file_format", "subtype"),
    [
        ("a.wav", "WAV", "PCM_16"),
        ("x.wav", "WAVEX", "FLOAT"),
        ("a.flac", "FLAC", "PCM_16"),
        ("a.ogg", "OGG", "VORBIS"),
        ("a.mp3", "MP3", "MPEG_LAYER_III"),
    ],
)
def test_formats_of_sounds_that_are_accepted(tmp_path: Path, name: str, file_format: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, np.zeros((16_000, 2), np.float32), 16_000, format=file_format, subtype=subtype)

    check_sound(tmp_path / name, FormLimits())


@pytest.mark.parametrize("thing", [None, "thing.png"])
def test_usable_inputs_give_a_video(files: Path, thing: str | None) -> None:
    model = cssgan.load_generator(save_run(files / "run", *WITH_OBJECT))

    video = make_video(
        model,
        FormInputs(
            picture=files / "card.png",
            sound=files / "a.wav",
            label="L",
            object_picture=None if thing is None else files / thing,
            object_word="" if thing is None else "rose",
        ),
        files / "out.mp4",
        FormLimits(max_seconds=3, max_megabytes=2),
    )

    assert video.num_frames == round(0.5 * 25)
    assert media_files.probe(video.path).audio_codec == "aac"


@pytest.mark.parametrize("colours", CARD_COLOURS)
def test_a_card_shows_its_letter_in_two_colours(tmp_path: Path, colours: str) -> None:
    images = [
        np.asarray(Image.open(draw_card(text, colours, tmp_path / "c.png")).copy()) for text in ("L", "M", "seven")
    ]

    for image in images:
        assert image.shape == (CARD_SIZE, CARD_SIZE, 3)
        ground = np.abs(image.astype(int) - image[0, 0]).sum(axis=2)
        assert 0.02 < (ground > 100).mean() < 0.5  # the letter
        assert ground[:, [0, -1]].max() == ground[[0, -1]].max() == 0  # and a margin, also around a word
    assert np.abs(images[0].astype(int) - images[1]).max() > 100
    with pytest.raises(InputError, match="allowed: a letter in yellow, blue"):
        draw_card("L", "plaid", tmp_path / "c.png")


WITHOUT_GRADIO = """
import sys
sys.modules["gradio"] = None
from cssgan.cli import app
sys.argv = ["cssgan", "serve", "--model", "nowhere"]
app.main()
"""


def test_without_the_extra_the_error_names_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_GRADIO], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert done.returncode == 1
    assert re.fullmatch(
        r"cssgan: serve needs gradio, which is not installed; run: pip install 'phonics-cssgan\[ui\]'\n", done.stderr
    )
