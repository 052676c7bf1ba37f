"""Which groups to narrow, and how far: the sparsities that spare the answers most for the multiply-adds they save.

Damage is counted where channels are read: the share of each reader's answers that is lost although what remains has
been refitted. Step by step, the group goes one width down whose next step costs least per multiply-add saved. Marginal
analysis of this kind is optimal where damages are convex and add up, which they nearly do.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from compress.channels.groups import ChannelGroup, pruned_layer
from compress.channels.widths import sparsity_choices, units_kept
from compress.errors import PolicyError
from compress.layers import Layer
from compress.plan import LayerPlan
from compress.policy import UNTOUCHED, Policy, SparsityPattern
from compress.stitch import Compressor

Ratios = Mapping[str, float]


def narrow_to(compressor: Compressor, share: float, groups: Collection[ChannelGroup]) -> dict[str, float]:
    """Sparsity by group name with which at most `share` of the network's multiply-adds is left.

    Args:
        compressor: Of the network.
        share: In (0, 1).
        groups: The groups that may be narrowed, of the compressor's; none vanishes altogether.

    Raises:
        PolicyError: They cannot be narrowed that far.
    """
    steps = {
        group.name: [ratio for ratio in sparsity_choices(group, compressor.channel_multiple) if ratio < 1.0]
        for group in groups
    }
    damage = {
        group.name: [0.0, *(compressor.damage_of(group, _kept(compressor, group, r)) for r in steps[group.name][1:])]
        for group in groups
    }
    position = dict.fromkeys(steps, 0)

    def ratios() -> dict[str, float]:
        return {name: steps[name][index] for name, index in position.items()}

    left = 1.0
    while left > share:
        best: tuple[float, str, float] | None = None
        for name, index in position.items():
            if index + 1 == len(steps[name]):
                continue
            after = share_of_macs(compressor, sparse(compressor, {**ratios(), name: steps[name][index + 1]}))
            price = (damage[name][index + 1] - damage[name][index]) / max(left - after, np.finfo(np.float64).tiny)
            if best is None or price < best[0]:
                best = price, name, after
        if best is None:
            raise PolicyError(f"at least {left:.0%} of the multiply-adds stay, {share:.0%} were asked for")
        position[best[1]] += 1
        left = best[2]
    return ratios()


def sparse(compressor: Compressor, ratios: Ratios, policy: Policy | None = None) -> Policy:
    """`policy` (FP32 if None) with these sparsities, by group name."""
    names = [layer.name for layer in compressor.network.layers]
    choices = dict(policy.layers if policy is not None else Policy.uniform(names, UNTOUCHED).layers)
    for name, ratio in ratios.items():
        pattern: SparsityPattern = "channels" if ratio else "none"
        for member in compressor.groups[name].producers:
            choices[member.layer] = replace(choices[member.layer], sparsity=ratio, sparsity_pattern=pattern)
    return Policy(choices)


def share_of_macs(compressor: Compressor, policy: Policy) -> float:
    """Multiply-adds that channel sparsity leaves, over FP32's; ranks and masks are not counted."""
    left = sum(_macs(plan) for plan in compressor.plan(policy).layers)
    return left / sum(layer.macs for layer in compressor.network.layers)


def _macs(plan: LayerPlan) -> int:
    inputs = _input_channels(plan.layer) if plan.kept_inputs is None else len(plan.kept_inputs)
    outputs = plan.layer.output_channels if plan.kept_outputs is None else len(plan.kept_outputs)
    return pruned_layer(plan.layer, inputs, outputs).macs


def _input_channels(layer: Layer) -> int:
    if layer.op_type == "Conv":
        return layer.weight_shape[1] * layer.groups
    return layer.weight_shape[1 - layer.output_axis]


def _kept(compressor: Compressor, group: ChannelGroup, ratio: float) -> int:
    kept = units_kept(group, ratio, compressor.channel_multiple)
    assert kept is not None  # noqa: S101  # the ratio is one of the group's choices
    return kept
