"""CSSGAN: train the paper's audio-to-video GAN on a dataset of `phonics_data`, generate with it, and judge it.

Nothing heavy is imported here. From Python: `cssgan.generate.load_generator`, `cssgan.training.loop.train`.
"""
