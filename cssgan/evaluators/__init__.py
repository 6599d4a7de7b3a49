"""Networks trained on the real clips of a dataset, which then judge generated ones: class, synchrony, order.

`spec` says what is trained and what a judge must reach, `train` does it, `store` reads what was trained, `panel` judges.
"""
