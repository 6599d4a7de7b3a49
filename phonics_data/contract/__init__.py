"""What a dataset is: the one folder of phonics_data that the trainer may import.

`labels` says which classes there are, `sample` what one short video is, `shard` how it lies in a tar, `logmel` how its
sound becomes a log-mel spectrogram and which 200 ms of it belong to which frame.
"""
