"""What a caller of `search` may want to catch."""


class SearchError(ValueError):
    """A call or a run folder that cannot be worked with; the message is one complete line."""


class RunFolderError(SearchError):
    """A run folder of another run, of a newer format, in use, or on a full disk."""
