"""Evaluators: networks trained on real clips that measure class, synchrony and temporal order of generated videos.

* `spec`: what is trained.
* `train`: training on the training split.
* `admission`: accuracy on held-out real clips, and the level that an evaluator must reach to be used.
* `checkpoint`: the folder of trained evaluators.
* `results`: metrics of generated videos.
"""
