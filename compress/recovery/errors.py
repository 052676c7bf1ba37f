"""What a caller of recovery may want to catch."""

from compress.errors import CompressionError


class UntrainableError(CompressionError):
    """A network that cannot be trained here: an operator of it has no form in torch that we know."""
