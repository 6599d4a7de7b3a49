"""Getting one video into a folder, whole: from a local path, or from the web by yt-dlp (whose only caller is here).

`take_local` and `Downloader.download` give an `Arrival`, `inspect_arrival` says whether it is what was announced. What
becomes of it, which videos come next and when to stop is decided in `phonics_data.stages.fetch.stage`.
"""
