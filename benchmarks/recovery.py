"""What recovery wins back: `python -m benchmarks.recovery`.

A search with recovery of its front, as users run it: the search proposes, what is worth training is trained for three
epochs, and the front is confirmed, latency afresh and accuracy on samples that nothing has seen. What counts is the
least drop among confirmed points at most as slow as asked, in hundredths of the metric ("points"), and the same without
recovery, as the search saw it. Where nothing that fast was confirmed, all is lost: 100 points.

`--peer` adds what a plain user gets on the same network with Torch-Pruning, as many epochs, and ONNX Runtime's static
quantization (`benchmarks.peers.torch_pruning_int8`), measured in turns with FP32 on the same unseen samples.
"""

import math
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmarks.figures import Figure, parser, report
from benchmarks.peers.torch_pruning_int8 import pruned_and_quantized
from compress.network import load_network
from compress.runtime import open_session
from hwprofiles import load_profile
from latency import CONFIRM, Meter
from search.folder.run_folder import RunFolder
from search.job import run
from search.point import TrialPoint
from search.progress import Progress
from search.recovery.recoveries import read_recoveries
from search.trial.timed_input import timed_feeds
from workloads import evaluate, load, session_predictor

_EPOCHS = 3
_TRIALS, _QUICK_TRIALS = 120, 6
_RECOVERY_S, _QUICK_RECOVERY_S = 2400.0, 60.0
_ASKED_SECONDS = 90.0
_ALL_LOST_POINTS = 100.0
_PEER_RATIOS, _QUICK_PEER_RATIOS = (0.6, 0.65, 0.7), (0.65,)
_PASSES = 3


@dataclass(frozen=True, kw_only=True)
class Goal:
    """How fast, and how good.

    Attributes:
        latency_share: Of FP32's latency, at most.
        points: Below FP32, at most.
    """

    latency_share: float
    points: float


GOALS: Mapping[str, tuple[Goal, ...]] = MappingProxyType(
    {
        "mnist-resnet": (Goal(latency_share=0.05, points=1.0), Goal(latency_share=0.08, points=0.2)),
        "chars-transformer": (Goal(latency_share=0.4, points=1.0),),
        "effnet-lite0": (Goal(latency_share=0.25, points=2.0),),
    }
)
_TIMED = "mnist-resnet"


def main() -> None:
    """Search, recover and confirm each workload; then the peer."""
    options = parser(__doc__, quick="few trials, and a minute of training", workloads=tuple(GOALS))
    options.add_argument("--trials", type=int, help=f"of each search; {_TRIALS} where not given")
    options.add_argument("--recover-time", type=float, help=f"seconds of recovery; {_RECOVERY_S:g} where not given")
    options.add_argument(
        "--runs", type=Path, help="where runs are kept, and gone on with; a scratch folder if not given"
    )
    options.add_argument("--peer", action="store_true", help="compare with Torch-Pruning and ONNX Runtime's int8")
    arguments = options.parse_args()
    trials = arguments.trials or (_QUICK_TRIALS if arguments.quick else _TRIALS)
    recover_s = arguments.recover_time or (_QUICK_RECOVERY_S if arguments.quick else _RECOVERY_S)
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory(prefix="paretune-benchmark-") as scratch:
        runs = arguments.runs or Path(scratch)
        for name in arguments.workload:
            figures |= recovered(name, runs / name, trials=trials, recover_s=recover_s)
    if arguments.peer:
        figures |= peer(_TIMED, _QUICK_PEER_RATIOS if arguments.quick else _PEER_RATIOS)
    report("recovery", figures)


def recovered(name: str, out: Path, *, trials: int, recover_s: float) -> dict[str, Figure]:
    """One workload's figures.

    Args:
        name: A built-in workload's, one of `GOALS`.
        out: The run's folder.
        trials: Of the search.
        recover_s: Seconds for all recoveries.
    """
    result = run(
        name,
        "local-cpu",
        out=out,
        trials=trials,
        recover="front",
        recover_epochs=_EPOCHS,
        recover_time_s=recover_s,
        listener=_told(name),
    )
    figures: dict[str, Figure] = {}
    for goal in GOALS[name]:
        figures |= figures_of_goal(name, goal, result.points)
    seconds = [entry.lineage.seconds for entry in read_recoveries(RunFolder(out)) if entry.lineage is not None]
    figures[f"{name}: candidates recovered"] = Figure(value=len(seconds), unit="networks", better="higher")
    asked = _ASKED_SECONDS if name == _TIMED else None
    for what, value, limit in (("longest", max(seconds, default=math.nan), asked), ("median", _median(seconds), None)):
        if seconds:
            figures[f"{name}: one recovery, {what}"] = Figure(value=value, unit="s", better="lower", asked=limit)
    return figures


def figures_of_goal(name: str, goal: Goal, points: Iterable[TrialPoint]) -> dict[str, Figure]:
    """The least drop at the latency asked for, confirmed; what it is without recovery; how fast the drop asked for is.

    Args:
        name: The workload's.
        goal: What is asked.
        points: Of the run.
    """
    known = [point for point in points if point.state == "complete"]
    confirmed = [point for point in known if point.confirmed]
    label = f"{name}, at most {goal.latency_share:g} of FP32's latency"
    fast = [100 * point.metric_drop for point in confirmed if point.cost_ratio <= goal.latency_share]
    plain = [
        100 * (point.metric_drop if point.search_metric_drop is None else point.search_metric_drop)
        for point in known
        if not point.recovered_from and (point.search_cost_ratio or point.cost_ratio) <= goal.latency_share
    ]
    good = [point.cost_ratio for point in confirmed if 100 * point.metric_drop <= goal.points]
    return {
        f"{label}: below FP32": Figure(
            value=min(fast, default=_ALL_LOST_POINTS), unit="points", better="lower", asked=goal.points
        ),
        f"{label}: without recovery": Figure(value=min(plain, default=_ALL_LOST_POINTS), unit="points", better="lower"),
        f"{name}, at most {goal.points:g} points below FP32: latency": Figure(
            value=min(good, default=1.0), unit="of FP32's", better="lower", asked=goal.latency_share
        ),
    }


def peer(name: str, ratios: Sequence[float]) -> dict[str, Figure]:
    """What Torch-Pruning and ONNX Runtime's quantization give, by share of channels removed.

    Args:
        name: A built-in workload's.
        ratios: Shares of channels.
    """
    workload, profile = load(name), load_profile("local-cpu")
    network = load_network(workload.network(), workload.calibration[0])
    networks = {ratio: pruned_and_quantized(workload, ratio=ratio, epochs=_EPOCHS) for ratio in ratios}
    threads = profile.engine.threads

    def score(onnx_bytes: bytes) -> float:
        predict = session_predictor(open_session(onnx_bytes, threads=threads))
        return evaluate(predict, workload.confirmation_part, workload.metric, batch_size=16).accuracy.value

    shares: dict[float, list[float]] = {ratio: [] for ratio in ratios}
    with Meter(profile, network.onnx_bytes, timed_feeds(workload, profile.engine.batch_size)) as meter:
        for _ in range(_PASSES):
            for ratio, onnx_bytes in networks.items():
                shares[ratio].append(meter.measure(onnx_bytes, effort=CONFIRM, fresh=True).ratio)
    whole = score(network.onnx_bytes)
    figures: dict[str, Figure] = {}
    for ratio, onnx_bytes in networks.items():
        label = f"{name}, Torch-Pruning {ratio:g} + int8, {_EPOCHS} epochs"
        figures[f"{label}: latency"] = Figure(value=_median(shares[ratio]), unit="of FP32's", better="lower")
        figures[f"{label}: below FP32"] = Figure(value=100 * (whole - score(onnx_bytes)), unit="points", better="lower")
    return figures


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else math.nan


def _told(name: str) -> Callable[[Progress], None]:
    """Says on stderr which stage a run has come to, once."""
    said: set[str] = set()

    def listener(progress: Progress) -> None:
        if progress.stage not in said:
            said.add(progress.stage)
            print(f"{name}: {progress.stage}", file=sys.stderr, flush=True)

    return listener


if __name__ == "__main__":
    main()
