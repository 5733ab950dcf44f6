"""Kernels: a pure-Python reference and a compiled twin of each, chosen here for all together."""

import os
from typing import TYPE_CHECKING

COMPILED = False  # logged at start-up and exported as a metric

if TYPE_CHECKING or os.environ.get("FASTCHAT_NO_EXTENSIONS"):
    from .histogram_py import LatencyHistogram
    from .outgoing_py import Outgoing
    from .room_steps_py import Arrivals, RoomStep, RoomSteps
    from .shared_window_py import SharedWindow, take_both
    from .sliding_window_py import SlidingWindow, admit_both
else:
    try:
        from .histogram_c import LatencyHistogram
        from .outgoing_c import Outgoing
        from .room_steps_c import Arrivals, RoomStep, RoomSteps
        from .shared_window_c import SharedWindow, take_both
        from .sliding_window_c import SlidingWindow, admit_both

        COMPILED = True
    except ImportError:
        from .histogram_py import LatencyHistogram
        from .outgoing_py import Outgoing
        from .room_steps_py import Arrivals, RoomStep, RoomSteps
        from .shared_window_py import SharedWindow, take_both
        from .sliding_window_py import SlidingWindow, admit_both

__all__ = [
    "COMPILED",
    "Arrivals",
    "LatencyHistogram",
    "Outgoing",
    "RoomStep",
    "RoomSteps",
    "SharedWindow",
    "SlidingWindow",
    "admit_both",
    "take_both",
]
