"""The nearest recovered relative of a candidate: its weights are a better beginning than the candidate's own."""

from compress.policy import Policy
from compress.recovery.float_structure import FloatStructure
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.relatives import Seats, kinship, seats_of
from compress.stitch import Compressor

LEAST_SHARED = 0.5
"""Of the weights of both, at least so many must be of the same channels: weights that learned to work together are of
little use beside many that did not."""


class Relatives:
    """The recovered candidates of a run.

    Args:
        compressor: Knows what policies leave of the network.
    """

    def __init__(self, compressor: Compressor) -> None:
        self._compressor = compressor
        self._known: dict[str, tuple[Policy, Seats]] = {}

    def add(self, digest: str, recovered: RecoveredWeights) -> None:
        """Make a recovered candidate known, in the place of an earlier round's; its weights are not kept."""
        self._known = {name: kept for name, kept in self._known.items() if kept[0] != recovered.policy}
        self._known[digest] = (recovered.policy, self._seats(recovered.policy))

    def nearest(self, policy: Policy) -> str | None:
        """The digest of the candidate that has most weights in common with what the policy leaves, channel by channel.

        Of equals the one whose layers differ least in format. None where no candidate shares enough.

        Raises:
            PolicyError: The policy does not fit the network.
        """
        if not self._known:
            return None
        wanted = self._seats(policy)
        ranked = [
            (-kinship(wanted, seats), _differing(policy, other), digest)
            for digest, (other, seats) in self._known.items()
        ]
        least, _, digest = min(ranked)
        return digest if -least >= LEAST_SHARED else None

    def _seats(self, policy: Policy) -> Seats:
        return seats_of(FloatStructure.of(self._compressor, policy))


def _differing(policy: Policy, other: Policy) -> int:
    return sum(choice.format != other[name].format for name, choice in policy.layers.items())
