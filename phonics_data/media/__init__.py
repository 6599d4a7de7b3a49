"""Reading and writing of video and sound: the only caller of PyAV, and of ffmpeg through ffmpeg-python.

`probe` and `decodes_to_end` check a file, `cut_segments` cuts exact clips out of one in one decode pass, `write_mp4`
writes one.
"""

from phonics_data.media.black_bars import picture_region
from phonics_data.media.container import decode_all, ffmpeg_path
from phonics_data.media.cut import Cut, cut_segments
from phonics_data.media.probe import MediaInfo, decodes_to_end, probe
from phonics_data.media.scaler import Fit
from phonics_data.media.video_writer import encode_mp4, video_from_images, write_mp4, write_site_mp4

__all__ = [
    "Cut",
    "Fit",
    "MediaInfo",
    "cut_segments",
    "decode_all",
    "decodes_to_end",
    "encode_mp4",
    "ffmpeg_path",
    "picture_region",
    "probe",
    "video_from_images",
    "write_mp4",
    "write_site_mp4",
]
