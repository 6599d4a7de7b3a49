"""Networks trained on the real clips of a dataset, which then evaluator generated ones: class, synchrony, order.

`spec` says what is trained and what a evaluator must reach, `train` does it, `store` reads what was trained, `panel` evaluators.
"""
