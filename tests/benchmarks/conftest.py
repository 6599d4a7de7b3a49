"""Without torch (an installation for datasets only, see tests/try_installs.py) the benchmarks of the trainer are not collected."""

from __future__ import annotations

import importlib.util

collect_ignore = (
    []
    if importlib.util.find_spec("torch")
    else [
        "test_coverage.py",
        "test_events.py",
        "test_model_options.py",
        "test_object_times.py",
        "test_order.py",
        "test_published_clips.py",
        "test_step.py",
    ]
)
