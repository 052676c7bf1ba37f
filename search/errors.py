"""What a caller of `search` may want to catch."""


class SearchError(ValueError):
    """A call or a run folder that cannot be worked with; the message is one complete line."""


class FailingTrialsError(SearchError):
    """Trials failed one after another; a search that goes on would only book more of them."""


class TargetLostError(SearchError):
    """The target went away in the middle; what was found before stands."""


class StorageError(SearchError):
    """A storage that is none, has no driver, does not answer, or holds the study of another run."""


class StorageLostError(StorageError):
    """The storage went away in the middle and did not come back; what it holds stands."""


class RunFolderError(SearchError):
    """A run folder of another run, of a newer format, in use, or on a full disk."""


class NoResultYetError(RunFolderError):
    """A run whose first trial, FP32, is not finished: there is nothing to show yet."""
