"""The nearest recovered relative of a candidate: its weights are a better beginning than the candidate's own."""

import math
from collections.abc import Mapping

from compress.policy import Policy
from compress.recovery.float_structure import FloatStructure
from compress.recovery.recovered_weights import RecoveredWeights
from compress.stitch import Compressor

LEAST_SHARED = 0.5
"""Of a candidate's weights, at least so many must have the relative's shapes: weights that learned to work together
are of little use beside many that did not."""

Shapes = Mapping[str, tuple[int, ...]]


class Relatives:
    """The recovered candidates of a run.

    Args:
        compressor: Knows what policies leave of the network.
    """

    def __init__(self, compressor: Compressor) -> None:
        self._compressor = compressor
        self._known: dict[str, tuple[Policy, Shapes]] = {}

    def add(self, digest: str, recovered: RecoveredWeights) -> None:
        """Make a recovered candidate known; its weights are not kept."""
        shapes = {name: array.shape for name, array in recovered.weights.items()}
        self._known[digest] = (recovered.policy, shapes)

    def nearest(self, policy: Policy) -> str | None:
        """The digest of the candidate that shares most weights, by name and shape, with what the policy leaves.

        Of equals the one whose layers differ least in format. None where no candidate shares enough.

        Raises:
            PolicyError: The policy does not fit the network.
        """
        if not self._known:
            return None
        learnable = FloatStructure.of(self._compressor, policy).learnable()
        wanted = {name: array.shape for name, array in learnable.items()}
        ranked = [
            (-_shared(wanted, shapes), _differing(policy, other), digest)
            for digest, (other, shapes) in self._known.items()
        ]
        least, _, digest = min(ranked)
        return digest if -least >= LEAST_SHARED else None


def _shared(wanted: Shapes, offered: Shapes) -> float:
    """Which share of the wanted weights is offered in the same shape."""
    whole = sum(map(math.prod, wanted.values()))
    return sum(math.prod(shape) for name, shape in wanted.items() if offered.get(name) == shape) / max(whole, 1)


def _differing(policy: Policy, other: Policy) -> int:
    return sum(choice.format != other[name].format for name, choice in policy.layers.items())
