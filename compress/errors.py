"""What a caller of `compress` may want to catch."""


class CompressionError(ValueError):
    """A user's network or policy that cannot be worked with; the message is one complete line."""


class NetworkError(CompressionError):
    """A network that cannot be exported, read or normalized."""


class PolicyError(CompressionError):
    """A policy that is malformed or does not fit its network."""


class FaithfulnessError(CompressionError):
    """A candidate that the runtime does not execute as its policy says."""
