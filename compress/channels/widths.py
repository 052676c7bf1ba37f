"""How many channels of a group stay: the arithmetic of structured sparsity, shared by space and compression."""

from collections.abc import Iterable, Mapping

import numpy as np

from compress.channels.groups import ChannelGroup

SPARSITY_RATIOS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)


def units_kept(group: ChannelGroup, ratio: float, multiple: int) -> int | None:
    """Units that stay when `ratio` of them are to go; None where that removes nothing or cannot be done.

    Args:
        group: The group.
        ratio: In [0, 1]; 1 removes a residual branch and nothing else.
        multiple: Channel counts that the device's kernels work in; a group of fewer channels keeps them all.
    """
    if ratio >= 1.0:
        return 0 if group.may_vanish else None
    step = max(1, multiple // channels_per_unit(group))
    kept = max(1, round(group.unit_count * (1.0 - ratio) / step)) * step
    return kept if kept < group.unit_count else None


def channels_per_unit(group: ChannelGroup) -> int:
    """Output channels of the group's first layer that go with one unit."""
    return int(np.count_nonzero(group.producers[0].unit_of_channel >= 0)) // group.unit_count


def sparsity_choices(group: ChannelGroup, multiple: int) -> tuple[float, ...]:
    """Ratios that lead to different widths, ascending from 0; for each width the ratio that comes closest to it."""
    by_width: dict[int, float] = {}
    for ratio in SPARSITY_RATIOS[1:]:
        kept = units_kept(group, ratio, multiple)
        if kept is not None:
            gone = 1.0 - kept / group.unit_count
            by_width[kept] = min(by_width.get(kept, ratio), ratio, key=lambda r: (abs(r - gone), r))
    return (0.0, *sorted(by_width.values()))


def single_valued(groups: Iterable[ChannelGroup]) -> Mapping[str, ChannelGroup]:
    """The groups that a policy can speak of, by name: those whose producers belong to no other group.

    A policy says one sparsity per layer. A layer whose outputs belong to two groups would need two.
    """
    found = {group.name: group for group in groups}
    owners: dict[str, list[str]] = {}
    for group in found.values():
        for member in group.producers:
            owners.setdefault(member.layer, []).append(group.name)
    shared = {name for names in owners.values() if len(names) > 1 for name in names}
    return {name: group for name, group in found.items() if name not in shared}
