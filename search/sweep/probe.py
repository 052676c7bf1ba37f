"""How far one policy's outputs lie from FP32's, on few samples: no check, no score, no latency."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.policy import Policy
from compress.runtime import open_session
from compress.stitch import Compressor
from search.stages import StageClock
from search.sweep.readings import Reading
from search.trial.turns import in_turn
from search.trial.validation import BATCH_SIZE, counting
from workloads import Evaluation, Metric, Samples, evaluate, session_predictor

SAMPLES = 32
"""Of the validation data that the search sees, at even distances: the mean divergence is then known to about 10%, less
than what sums of single choices miss."""


class Probe:
    """Takes divergences of candidates from FP32.

    Args:
        compressor: Builds them; what it makes of a layer is kept for the trials.
        samples: The validation data that the search sees.
        threads: Threads on this machine.
        target_batch_size: Samples per inference on the target: those that share the ranges of dynamic formats.
        stages: Where the seconds are counted.
        clock: Monotonic seconds.

    Raises:
        CompressionError: The network does not load.
        WorkloadError: FP32's outputs are not finite.
    """

    def __init__(
        self,
        compressor: Compressor,
        samples: Samples,
        *,
        threads: int,
        target_batch_size: int,
        stages: StageClock,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._compressor = compressor
        self._samples = samples.spread(min(SAMPLES, len(samples)))
        self._threads = threads
        self._target_batch_size = target_batch_size
        self._stages = stages
        self._fp32: Evaluation | None = None
        started = clock()
        self._fp32 = self._run(compressor.network.onnx_bytes, {}, BATCH_SIZE)
        self.validation_s = (clock() - started) / len(self._samples) * len(samples)
        """About how long validating FP32 on all samples takes."""

    @property
    def has_divergence(self) -> bool:
        """Whether the network has an output in floating point: others have no distances."""
        return self._fp32 is not None and bool(self._fp32.output_variances)

    def measure(self, policy: Policy) -> Reading:
        """The divergence of the policy's candidate.

        Raises:
            CompressionError: It cannot be built or does not load.
            WorkloadError: Its outputs are not finite.
        """
        with in_turn(self._stages, "building"):
            candidate = self._compressor.build(policy)
        batch_size = self._target_batch_size if candidate.depends_on_batch else BATCH_SIZE
        divergence = self._run(candidate.onnx_bytes, candidate.session_entries, batch_size).accuracy.divergence
        if divergence is None:
            raise RuntimeError("the network has no outputs in floating point; ask has_divergence first")
        mean = float(divergence.mean())
        count = len(divergence)
        error = float(divergence.std(ddof=1)) / math.sqrt(count) if count > 1 else mean
        return Reading(mean=mean, standard_error=error)

    def _run(self, model: bytes, session_entries: Mapping[str, str], batch_size: int) -> Evaluation:
        with self._stages.stage("session loading"):
            session = open_session(model, threads=self._threads, session_entries=session_entries)
        with self._stages.stage("scoring"):
            return evaluate(
                counting(session_predictor(session), self._stages),
                self._samples,
                _NO_SCORE,
                batch_size=batch_size,
                reference=self._fp32,
            )


def _zeros(_: Any, targets: Any) -> NDArray[np.float64]:
    return np.zeros(len(targets))


# The user's metric may be dear, and may not bear so few samples; only the distances count.
_NO_SCORE = Metric(name="none", function=_zeros)
