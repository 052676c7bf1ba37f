"""What a policy makes of a network."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from compress.policy import Policy


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A compressed network: what is timed, validated and shipped, byte for byte.

    Attributes:
        policy: What was asked.
        onnx_bytes: The network.
        session_entries: Runtime session configuration without which the bytes would not run as the policy says.
        ranks: Layer name to its rank, for factorized layers.
        formats: Layer name to the name of its number format, for the layers that are left.
    """

    policy: Policy
    onnx_bytes: bytes
    session_entries: Mapping[str, str]
    ranks: Mapping[str, int]
    formats: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal: names the candidate everywhere."""
        return hashlib.sha256(self.onnx_bytes).hexdigest()

    @property
    def depends_on_batch(self) -> bool:
        """Whether a sample's output depends on the samples beside it: dynamic ranges span the batch."""
        return "int8-dynamic" in self.formats.values()
