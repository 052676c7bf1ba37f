"""Raw latency samples, as one worker process took them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Clock = Literal["wall", "cpu"]

_NS_PER_TICK = 10  # stored as whole numbers of 10 ns: short in a file, and fine enough for a 2 µs inference
_TICKS_PER_MS = 1_000_000 // _NS_PER_TICK


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """Consecutive inferences of one model in one process.

    ``wall_ms`` is elapsed time, on a GPU that between two events of its stream; ``cpu_ms`` the calling thread's
    processor time (None where that says nothing of the inference, as on a GPU), ``switches`` how often the system took
    the processor away meanwhile (None where it does not tell). All have one entry for each inference.
    """

    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...] | None
    switches: tuple[int, ...] | None

    def __post_init__(self) -> None:
        others = (each for each in (self.cpu_ms, self.switches) if each is not None)
        lengths = {len(self.wall_ms), *map(len, others)}
        if len(lengths) != 1 or not self.wall_ms:
            msg = f"wall, cpu and switches must have one entry for each inference, got lengths {sorted(lengths)}"
            raise ValueError(msg)

    @classmethod
    def from_worker(cls, rows: Sequence[Sequence[int | None]]) -> Self:
        """From a worker's rows of ``[wall_ns, thread_cpu_ns, switches]``."""
        walls, cpus, switches = zip(*rows, strict=True)
        return cls(
            wall_ms=_milliseconds(_ticks_of_ns(walls)),
            cpu_ms=None if None in cpus else _milliseconds(_ticks_of_ns(cpus)),
            switches=None if None in switches else tuple(switches),
        )

    def milliseconds(self, clock: Clock) -> tuple[float, ...]:
        """The samples on one of the two clocks.

        Raises:
            ValueError: processor time was not taken.
        """
        if clock == "wall":
            return self.wall_ms
        if self.cpu_ms is None:
            raise ValueError("these samples have no processor time; use the wall clock")
        return self.cpu_ms

    def joined(self, later: Samples) -> Samples:
        """These samples, then the later ones; what one of them does not tell, neither does the whole."""

        def both(first: tuple[Any, ...] | None, second: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
            return None if first is None or second is None else first + second

        return Samples(
            wall_ms=self.wall_ms + later.wall_ms,
            cpu_ms=both(self.cpu_ms, later.cpu_ms),
            switches=both(self.switches, later.switches),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values: times in whole units of 10 ns."""
        cpu = None if self.cpu_ms is None else _ticks(self.cpu_ms)
        return {"wall": _ticks(self.wall_ms), "cpu": cpu, "switches": self.switches}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of ``to_dict``."""
        switches, cpu = values["switches"], values["cpu"]
        return cls(
            wall_ms=_milliseconds(values["wall"]),
            cpu_ms=None if cpu is None else _milliseconds(cpu),
            switches=None if switches is None else tuple(switches),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessSamples:
    """What one process saw of the candidate and of the baseline, interleaved in ``rounds`` of A-B-B-A.

    Each round has the same number of samples of a model, half of them in each of its two turns.
    """

    candidate: Samples
    baseline: Samples
    rounds: int

    def __post_init__(self) -> None:
        for name, model in (("candidate", self.candidate), ("baseline", self.baseline)):
            if self.rounds < 1 or len(model.wall_ms) % (2 * self.rounds):
                msg = f"{len(model.wall_ms)} samples of the {name} do not make {self.rounds} rounds of two turns each"
                raise ValueError(msg)

    def log_ratios(self, clock: Clock) -> NDArray[np.float64]:
        """The logarithm of candidate over baseline in each round, shape ``(rounds,)``.

        Neighbours in time are compared, so whatever changes more slowly than a round (the clock rate, what else the
        host does) leaves them alone. Within a turn the median counts.
        """
        return _round_logs(self.candidate, self.rounds, clock) - self.log_baseline_ms(clock)

    def log_baseline_ms(self, clock: Clock) -> NDArray[np.float64]:
        """The logarithm of what the baseline took in each round, shape ``(rounds,)``: how fast the machine was then."""
        return _round_logs(self.baseline, self.rounds, clock)

    def joined(self, later: ProcessSamples) -> ProcessSamples:
        """These samples and the same process's later ones. Their turns must be of the same lengths."""
        return ProcessSamples(
            candidate=self.candidate.joined(later.candidate),
            baseline=self.baseline.joined(later.baseline),
            rounds=self.rounds + later.rounds,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"candidate": self.candidate.to_dict(), "baseline": self.baseline.to_dict(), "rounds": self.rounds}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The inverse of ``to_dict``."""
        candidate, baseline = Samples.from_dict(values["candidate"]), Samples.from_dict(values["baseline"])
        # Format 1 knew no rounds; both models had as many samples, and any two neighbours were taken close together.
        rounds = values.get("rounds", len(candidate.wall_ms) // 2)
        return cls(candidate=candidate, baseline=baseline, rounds=rounds)


def _round_logs(model: Samples, rounds: int, clock: Clock) -> NDArray[np.float64]:
    import numpy as np

    turns = np.asarray(model.milliseconds(clock)).reshape(rounds, 2, -1)
    logs: NDArray[np.float64] = np.log(np.median(turns, axis=2)).mean(axis=1)
    return logs


def _ticks_of_ns(values_ns: Sequence[int]) -> list[int]:
    return [round(value / _NS_PER_TICK) for value in values_ns]


def _milliseconds(ticks: Sequence[int]) -> tuple[float, ...]:
    return tuple(tick / _TICKS_PER_MS for tick in ticks)


def _ticks(values_ms: Sequence[float]) -> list[int]:
    return [round(value * _TICKS_PER_MS) for value in values_ms]
