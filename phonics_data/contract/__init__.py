"""The dataset format: the only package of phonics_data that cssgan imports.

* `labels`: the classes.
* `sample`, `shard`, `video`: one sample, and its encoding in a tar.
* `tar_reader`: reading of shards from a disk or an address.
* `logmel`: audio -> log-mel spectrogram, and the 200 ms of it that belong to a frame.
* `files`: atomic file writes.
"""
