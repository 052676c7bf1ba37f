"""A measured point's candidate, made again: from its policy, or from the weights that were recovered for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from compress.candidate import Candidate
from compress.policy import Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.recovered_weights import RecoveredWeights
from compress.stitch import Compressor
from search.errors import SearchError
from search.folder.run_folder import RunFolder
from search.point import TrialPoint
from search.stages import StageClock
from search.trial.rebuild import rebuild
from search.trial.turns import in_turn


@dataclass(frozen=True, kw_only=True, eq=False)
class Remaker:
    """Makes candidates of measured points again, byte for byte.

    Attributes:
        compressor: Builds them.
        policies: Policy by candidate digest, of the trials; recovered points share their trial's.
        folder: The run's folder, which has the recovered weights.
        stages: Where the seconds are counted.
    """

    compressor: Compressor
    policies: Mapping[str, Policy]
    folder: RunFolder
    stages: StageClock

    def __call__(self, point: TrialPoint) -> Candidate:
        """The candidate that `point` was measured as.

        Raises:
            SearchError: Its weights are no longer there, or the bytes are others than those that were measured.
            CompressionError: The weights cannot be read, or do not fit.
        """
        with in_turn(self.stages, "building"):
            if not point.recovered_from:
                return rebuild(point, self.policies[point.digest], self.compressor.build)
            weights = read_weights(self.folder, point)
            return rebuild(point, weights.policy, lambda _: build_recovered(self.compressor, weights))


def read_weights(folder: RunFolder, point: TrialPoint) -> RecoveredWeights:
    """The weights that were recovered for `point`.

    Raises:
        SearchError: They are no longer there.
        CompressionError: They cannot be read.
    """
    path = weights_path(folder, point.digest)
    if not path.is_file():
        remedy = f"or delete {folder.recoveries_path.name} and run the search command with --recover again"
        if point.trained_in_search:
            remedy = "from the folder in which the search was begun, or search again with another --out"
        raise SearchError(
            f"{point.name} needs its recovered weights, and there is no {str(path)!r}; restore the file, {remedy}"
        )
    return RecoveredWeights.load(path)


def weights_path(folder: RunFolder, digest: str) -> Path:
    """`recovered/DIGEST.safetensors`: the weights of the recovered candidate `digest`."""
    return folder.recovered_path / f"{digest}.safetensors"
