"""Which units of a channel group go, and what that costs: asked of the layers that read the group."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from compress.channels.groups import ChannelGroup, Member
from compress.channels.importance import Consumer, removal_order
from compress.layers import Layer
from compress.single_thread import single_threaded
from compress.weights.layer_state import LayerState
from compress.weights.refit import refit, response_error


class GroupReaders:
    """The readers of channel groups, as they are in FP32.

    Args:
        layers: The network's layers.
        original: A layer as it is in FP32.
    """

    def __init__(self, layers: Iterable[Layer], original: Callable[[Layer], LayerState]) -> None:
        self._layers = {layer.name: layer for layer in layers}
        self._original = original

    def removal_order(self, group: ChannelGroup) -> NDArray[np.int64]:
        """The units of a group, the one that goes first first."""
        consumers = [found for member in group.consumers if (found := self._consumer(member)) is not None]
        with single_threaded():
            return removal_order(consumers, group.unit_count)

    def damage(self, group: ChannelGroup, kept: NDArray[np.int64]) -> float:
        """The share of its readers' answers that is lost when a group keeps only the units `kept`, summed."""
        total = 0.0
        for member in group.consumers:
            state = self._reader(member)
            if state is None or state.second is None:
                continue
            stays = np.flatnonzero((member.unit_of_channel < 0) | np.isin(member.unit_of_channel, kept))
            columns = state.columns_of(stays)
            with single_threaded():
                fitted = np.zeros_like(state.rows)
                fitted[:, :, columns] = refit(state.rows, state.second, columns)
                total += response_error(state.rows, fitted, state.second)
        return total

    def _reader(self, member: Member) -> LayerState | None:
        """A layer that reads a group; None where its inputs are not known, or go with its outputs."""
        layer = self._layers[member.layer]
        state = self._original(layer)
        return None if state.second is None or layer.groups > 1 else state

    def _consumer(self, member: Member) -> Consumer | None:
        """A reader of the group; None where its inputs are not known well enough to say what it would miss."""
        state = self._reader(member)
        if state is None or state.second is None:
            return None
        channels = [np.flatnonzero(member.unit_of_channel == unit) for unit in range(member.unit_of_channel.max() + 1)]
        return Consumer(
            rows=state.rows[0],
            second=state.second[0],
            columns=np.stack([state.columns_of(found) for found in channels]),
        )
