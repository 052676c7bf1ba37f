"""Recovery without gradients: layer after layer, weights are refitted to what the original network answers there.

For networks that cannot be trained: an operator has no form in torch, or torch is not there. Layers are taken in the
graph's order. Each reads what the compressed network really gives it, errors of the layers before included, and learns
to answer what the original network answers: so it makes good what went wrong before it, which a refit on the original
network's inputs cannot. Everything is least squares on second moments; nothing is trained.
"""

import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.faithfulness import relative_difference
from compress.policy import Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.float_structure import FloatStructure
from compress.recovery.lessons import Lessons
from compress.recovery.lineage import Lineage
from compress.recovery.reconstruction import Reconstruction
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.settings import RecoverySettings
from compress.runtime import open_session
from compress.single_thread import single_threaded
from compress.statistics.activations import Feeds
from compress.stitch import Compressor

METHOD = "closed-form reconstruction"

DEFAULT_SAMPLES = 1024
DEFAULT_LIMIT_BYTES = 2**30
_COMPARED_SAMPLES = 256
_FIRST_SAMPLES = 512


def reconstruct(
    compressor: Compressor,
    policy: Policy,
    lessons: Lessons,
    settings: RecoverySettings,
    *,
    samples: int = DEFAULT_SAMPLES,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    clock: Callable[[], float] = time.monotonic,
) -> RecoveredWeights:
    """Refit the policy's network, layer after layer.

    With the same arguments, and no time limit, it gives the same weights.

    Args:
        compressor: Of the original network.
        policy: What to recover.
        lessons: Whose inputs to look at; targets are not.
        settings: Of which the seed, the threads and the time limit count. A limit makes it look at fewer samples.
        samples: Most samples to look at.
        limit_bytes: About how much memory the original network's answers may take.
        clock: Seconds.

    Raises:
        PolicyError: The policy does not fit the network or the target.
        CompressionError: The network does not run on the lessons, or the candidate answered no worse before.
    """
    began = clock()
    structure = FloatStructure.of(compressor, policy)
    feeds = _chosen(lessons, samples, settings.seed)
    course = Reconstruction(compressor, structure, settings, limit_bytes)
    with single_threaded():
        count = course.refit(feeds, None if settings.time_limit_s is None else began + settings.time_limit_s, clock)
        ranges = course.observed_ranges(feeds)
    plain = compressor.build(policy)
    recovered = RecoveredWeights(
        policy=policy,
        network_digest=compressor.network.digest,
        weights=course.weights,
        ranges=ranges,
        lineage=Lineage(
            recovered_from=plain.digest,
            method=METHOD,
            epochs=0,
            steps=count,
            seed=settings.seed,
            data_digest=lessons.digest,
            started_from=None,
            seconds=clock() - began,
        ),
    )
    _check_won(compressor, plain, build_recovered(compressor, recovered), feeds[:_COMPARED_SAMPLES], settings.threads)
    return recovered


def refitted_weights(
    compressor: Compressor,
    structure: FloatStructure,
    lessons: Lessons,
    settings: RecoverySettings,
    clock: Callable[[], float],
) -> dict[str, NDArray[np.float32]]:
    """The weights of `reconstruct` by initializer name, from fewer samples: where a training begins.

    Three epochs that begin here come further than three from the candidate's own weights (seen with one seed, on one
    candidate with removed branches). It takes a quarter of the time limit at most.
    """
    limit_s = settings.time_limit_s
    course = Reconstruction(compressor, structure, settings, DEFAULT_LIMIT_BYTES)
    with single_threaded():
        deadline_s = None if limit_s is None else clock() + limit_s / 4
        course.refit(_chosen(lessons, _FIRST_SAMPLES, settings.seed), deadline_s, clock)
    return course.weights


def _chosen(lessons: Lessons, samples: int, seed: int) -> list[Feeds]:
    """Some of the samples, one by one: at random from all, in the order they came in."""
    places = [(run, index) for run in lessons.runs for index in range(len(run))]
    if len(places) > samples:
        drawn = np.random.default_rng(seed).choice(len(places), samples, replace=False)
        places = [places[index] for index in np.sort(drawn)]
    return [run.pick(np.array([index])).feeds for run, index in places]


def _check_won(
    compressor: Compressor, plain: Candidate, recovered: Candidate, feeds: Sequence[Feeds], threads: int
) -> None:
    """Refuse weights with which the candidate answers less like the original than it did."""
    original = open_session(compressor.network.onnx_bytes, threads=threads)
    sessions = [
        open_session(candidate.onnx_bytes, threads=threads, session_entries=candidate.session_entries)
        for candidate in (plain, recovered)
    ]
    wanted, before, after = ([session.run(None, dict(one)) for one in feeds] for session in (original, *sessions))
    lost, left = (
        relative_difference([array for one in found for array in one], [array for one in wanted for array in one])
        for found in (before, after)
    )
    if not left <= lost:
        raise CompressionError(
            f"{METHOD} won nothing: the candidate's outputs differ from the original's by {lost:.3g} of their size, "
            f"and by {left:.3g} afterwards; keep it as it is"
        )
