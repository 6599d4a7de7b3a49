"""OCR of letters and text lines in a video, with place, colour and time of each.

The video is sampled eight times per second. Regions that changed within the last quarter of a second are segmented into
shapes (`shapes`): shapes of one colour, holes in large flat regions, and changed boxes. Each shape is classified by a
single-line recognizer (`recognizer`): as a mask, black on white, and, if it is textured, from its pixels too. Static
logos are therefore never read. After a cut the whole frame is read.

Text lines are detected in the whole frame when it has changed and settled, at most once a second (`text_lines`).
Letters that belong to a word are removed; a line that is one letter or a pair of one letter counts as a letter.
"""

from phonics_data.ocr.scan import read_screen

__all__ = ["read_screen"]
