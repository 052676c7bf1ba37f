"""What a caller of `deploy` may want to catch."""

from latency import MeasurementError


class BundleError(ValueError):
    """A bundle that cannot be written, read or believed; the message is one complete line."""


class DamagedBundleError(BundleError):
    """A bundle whose files are not what its manifest says, or that reaches outside of itself: it must not be used."""


class RemeasuredOtherwiseError(BundleError):
    """The bytes that would ship are not as fast, measured again, as the search had confirmed."""


class UnreliableLatencyError(MeasurementError):
    """A latency that says nothing, of whatever network: the machine was too busy for it."""
