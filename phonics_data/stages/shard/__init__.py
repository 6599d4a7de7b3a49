"""The stage `shard`: cuts the clips of each video, selects and packs them, and writes the dataset's metadata."""
