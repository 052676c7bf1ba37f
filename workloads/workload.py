"""What a user brings: a network, data to calibrate and to validate it on, and a metric."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from workloads.errors import WorkloadError
from workloads.sample_runs import Feeds
from workloads.samples import Samples

if TYPE_CHECKING:
    import torch

METRIC_SCOPES = ("batch", "all")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """How good outputs are.

    Attributes:
        name: What tables and plots call it.
        function: `function(outputs, targets)` gives one score per sample, higher is better. `outputs` is the array
            itself where the network has one output, and a dict from output name to array where it has several.
        scope: "batch": called once per batch. "all": called once with all samples together (F1, retrieval).

    Raises:
        WorkloadError: The scope is neither.
    """

    name: str
    function: Callable[[Any, Any], Any]
    scope: Literal["batch", "all"] = "batch"

    def __post_init__(self) -> None:
        if self.scope not in METRIC_SCOPES:
            raise WorkloadError(f"METRIC_SCOPE must be one of {list(METRIC_SCOPES)}, got {self.scope!r}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """A network with its data and metric, checked and ready to be searched.

    Attributes:
        name: What it is called in folders and reports.
        origin: Where it comes from, for people: the name of a built-in one, or the file's path.
        digest: SHA-256 in hexadecimal over what decides its results: the source of the workload file and of the
            modules beside it that it imports, the network's weights, and all data.
        network: Gives the network: a module in eval mode, or the path of an ONNX file.
        calibration: Feeds to calibrate on.
        search_part: Validation samples that the search sees.
        confirmation_part: Validation samples that only the confirmation of the front sees.
        metric: How good outputs are.
        latency_input: What is timed; None means the first validation sample at the target's batch size.
        training: Batches to train on, for recovery.
        groups: One label per validation sample, in the user's own order (`Samples.indices` points into it).
    """

    name: str
    origin: str
    digest: str
    network: "Callable[[], torch.nn.Module | Path]"
    calibration: tuple[Feeds, ...] = field(repr=False)
    search_part: Samples
    confirmation_part: Samples
    metric: Metric
    latency_input: Feeds | None = field(default=None, repr=False)
    training: Callable[[], Any] | None = None
    groups: Callable[[], Any] | None = None
