"""What a bundle promises: the worse ends of its figures' intervals, unless whoever exports it says something else."""

from dataclasses import asdict, dataclass

from deploy.errors import BundleError
from deploy.manifest import AccuracyFacts, Latency, LatencyFigure, Promises

MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """What a person wants promised; None leaves it to the confirmed figures.

    Attributes:
        max_latency_ms: On the target.
        max_drop: FP32 minus the network, in the metric's own unit.
        min_speedup: FP32's time over the network's.
        max_size_mb: Of `model.onnx`, in millions of bytes.
    """

    max_latency_ms: float | None = None
    max_drop: float | None = None
    min_speedup: float | None = None
    max_size_mb: float | None = None


def promise(budgets: Budgets, latency: Latency, accuracy: AccuracyFacts, size_bytes: int) -> Promises:
    """The promises: each budget that was given, else the worse end of the figure's interval.

    Latency was taken on two occasions, the confirmation and the export, and what was seen on either may be seen again.

    Raises:
        BundleError: A budget is broken already by what was confirmed or measured again.
    """
    figure = accuracy.on_target or accuracy.confirmed
    highest_ratio = max(latency.confirmed.ratio_high, latency.exported.ratio_high)
    default = Budgets(
        max_latency_ms=highest_ratio * latency.fp32_ms,
        max_drop=max(figure.drop_high, accuracy.confirmed.drop_high),
        min_speedup=1 / highest_ratio,
        max_size_mb=size_bytes / MEGABYTE,
    )
    for taken in (latency.confirmed, latency.exported):
        require_promisable(budgets, taken, accuracy, size_bytes)
    given = {name: value for name, value in asdict(budgets).items() if value is not None}
    made = Budgets(**{**asdict(default), **given})
    return Promises(
        max_latency_ms=made.max_latency_ms,
        max_drop=made.max_drop,
        min_speedup=made.min_speedup,
        max_size_bytes=None if made.max_size_mb is None else round(made.max_size_mb * MEGABYTE),
    )


def require_promisable(budgets: Budgets, latency: LatencyFigure, accuracy: AccuracyFacts, size_bytes: int) -> None:
    """Raise BundleError for a budget that the intervals say is broken on the day that it is promised.

    Args:
        budgets: What is to be promised.
        latency: As it was confirmed, or measured again.
        accuracy: As it was confirmed.
        size_bytes: Of the network.
    """
    figure = accuracy.on_target or accuracy.confirmed
    if budgets.max_latency_ms is not None and latency.ms_low > budgets.max_latency_ms:
        raise _broken("latency-ms", budgets.max_latency_ms, f"{latency.ms:.4g} ms, at least {latency.ms_low:.4g}")
    if budgets.min_speedup is not None and 1 / latency.ratio_low < budgets.min_speedup:
        most = 1 / latency.ratio_low
        raise _broken("speedup", budgets.min_speedup, f"{1 / latency.ratio:.3g} times as fast, at most {most:.3g}")
    if budgets.max_drop is not None and figure.drop_low > budgets.max_drop:
        raise _broken("drop", budgets.max_drop, f"a drop of {figure.drop:.4g}, at least {figure.drop_low:.4g}")
    if budgets.max_size_mb is not None and size_bytes > budgets.max_size_mb * MEGABYTE:
        raise _broken("size-mb", budgets.max_size_mb, f"{size_bytes / MEGABYTE:.4g} MB")


def _broken(what: str, wanted: float, found: str) -> BundleError:
    return BundleError(
        f"a promise must hold on the day that it is made: {what} {wanted:g} was asked, found is {found}; promise "
        "less, or choose another point"
    )
