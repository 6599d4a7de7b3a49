"""OCR of single letters in a video, with place, colour and time of each.

There is no text detector. The video is sampled eight times per second. Regions that changed within the last quarter of
a second are segmented into shapes of one colour (`shapes`), and each shape is drawn black on white and classified by a
single-line recognizer (`recognizer`). Static logos are therefore never read. After a cut the whole frame is read.
"""

from phonics_data.ocr.scan import read_screen

__all__ = ["read_screen"]
