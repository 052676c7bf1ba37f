"""What a caller of `workloads` may want to catch."""


class WorkloadError(ValueError):
    """A user's mistake in a workload; the message is one complete line: what, the value, and what to do."""
