"""Kernels: a pure-Python reference and a compiled twin of each, chosen here for all together."""

import os
from typing import TYPE_CHECKING

COMPILED = False  # logged at start-up and exported as a metric

if TYPE_CHECKING or os.environ.get("FASTCHAT_NO_EXTENSIONS"):
    from .histogram_py import LatencyHistogram
    from .shared_window_py import SharedWindow, take_both
    from .sliding_window_py import SlidingWindow, admit_both
else:
    try:
        from .histogram_c import LatencyHistogram
        from .shared_window_c import SharedWindow, take_both
        from .sliding_window_c import SlidingWindow, admit_both

        COMPILED = True
    except ImportError:
        from .histogram_py import LatencyHistogram
        from .shared_window_py import SharedWindow, take_both
        from .sliding_window_py import SlidingWindow, admit_both

__all__ = [
    "COMPILED",
    "LatencyHistogram",
    "SharedWindow",
    "SlidingWindow",
    "admit_both",
    "take_both",
]
