"""How far weights move in a step: a peak that follows the candidate's damage, and its schedule."""

import math

LARGEST = 3e-3
SMALLEST = 3e-4

_WARM_UP = 0.05
_LAST_RATE = 0.01


def peak_rate(damage: float) -> float:
    """The learning rate at its peak, of AdamW, for a candidate that has lost so much of what the original knows.

    What is nearly whole is shaken loose by a rate that what is badly damaged needs: the peak goes with the root of the
    damage, and stays between two bounds.

    Args:
        damage: As `Judgement.damage` counts it: 0 for the original, 1 for a network that knows nothing.
    """
    return min(LARGEST, max(SMALLEST, LARGEST * math.sqrt(max(damage, 0.0))))


def share_of_peak(progress: float) -> float:
    """The learning rate as a share of its peak: a short climb, then half a cosine.

    (Loshchilov & Hutter 2017, arXiv:1608.03983.)

    Args:
        progress: Share of the training that is done.
    """
    climb = min(1.0, (progress + 1e-3) / _WARM_UP)
    fall = _LAST_RATE + (1.0 - _LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return climb * fall
