"""The stage `fetch`: copies or downloads the source videos of a manifest into the workspace and checks each one.

`stage` runs the queue and `worker` fetches one video: `local` copies a file, `download` uses yt-dlp.
"""
