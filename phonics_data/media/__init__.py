"""Reading and writing of video and audio files.

`probe` and `decodes_to_end` check a file. `cut_segments` cuts exact clips from a file in one decode pass. `write_mp4`
writes a clip. All use of PyAV in phonics_data is here, except for decoding clips in `phonics_data.contract.video`.
"""

from phonics_data.contract.display import Region
from phonics_data.media.black_bars import content_region
from phonics_data.media.container import decode_all, ffmpeg_path
from phonics_data.media.cut import DecodedClip, Samples, cut_segments
from phonics_data.media.probe import MediaInfo, decodes_to_end, probe
from phonics_data.media.scaler import FULL_FRAME, Fit
from phonics_data.media.suffixes import VIDEO_SUFFIXES, is_video_file, unread_entry
from phonics_data.media.video_writer import encode_mp4, video_from_images, write_mp4, write_song_mp4

__all__ = [
    "FULL_FRAME",
    "VIDEO_SUFFIXES",
    "DecodedClip",
    "Fit",
    "MediaInfo",
    "Region",
    "Samples",
    "content_region",
    "cut_segments",
    "decode_all",
    "decodes_to_end",
    "encode_mp4",
    "ffmpeg_path",
    "is_video_file",
    "probe",
    "unread_entry",
    "video_from_images",
    "write_mp4",
    "write_song_mp4",
]
