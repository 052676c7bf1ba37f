"""How much of a network's work a policy moves out of FP32."""

from collections.abc import Mapping

from compress.policy import UNTOUCHED, Policy


def share_in_other_formats(policy: Policy, macs: Mapping[str, int]) -> float:
    """The share of the network's multiply-adds that are in layers of other formats than FP32, between 0 and 1.

    It stands for the share of a candidate's time, and is off where formats are unequally fast, where layers are pruned
    unequally, and where what is between layers takes time. Measured on two residual networks, it tells how ratios
    follow a processor's speed as well as shares of time that are estimated from what is left of each layer do, or
    better.

    Args:
        policy: The candidate's.
        macs: Layer to multiply-adds of the network as it was; where none are known all layers count alike.
    """
    known = macs if any(macs.values()) else dict.fromkeys(macs, 1)
    whole = sum(known.values())
    moved = sum(count for layer, count in known.items() if policy[layer].format != UNTOUCHED.format)
    return moved / whole if whole else 0.0
