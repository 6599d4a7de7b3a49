"""Letters on the screen: what is drawn, flies in, fades in or changes its colour is read, with its place and time.

Text is not searched for. The picture is looked at eight times a second; what has changed since a quarter of a second
ago is taken as a shape of one colour (`glyphs`), drawn black on white and read by a recognizer of single lines
(`recognizer`), which gives a probability for each letter. A logo that stands still is then never read; after a hard
cut, when everything has changed, the whole frame is read.
"""

from phonics_data.ocr.scan import read_screen

__all__ = ["read_screen"]
