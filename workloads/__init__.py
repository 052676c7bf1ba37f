"""What a user brings: a network, data and a metric; and how accurate a network is on them."""

from workloads.accuracy import Accuracy, Drop, paired_drop
from workloads.builtin import BUILTIN_WORKLOADS
from workloads.divergence import Outputs
from workloads.errors import WorkloadError
from workloads.evaluation import Evaluation, RunningEvaluation, evaluate
from workloads.evidence import Bounds, Evidence, weigh
from workloads.fair_order import chunk_ends, in_fair_order
from workloads.files import from_files
from workloads.loading import load
from workloads.metrics import METRICS, mse, resolve_metric, top1
from workloads.predictor import Predict, onnx_predictor, session_predictor
from workloads.sample_runs import Feeds, Targets
from workloads.samples import Samples
from workloads.workload import Metric, Workload

__all__ = [
    "BUILTIN_WORKLOADS",
    "METRICS",
    "Accuracy",
    "Bounds",
    "Drop",
    "Evaluation",
    "Evidence",
    "Feeds",
    "Metric",
    "Outputs",
    "Predict",
    "RunningEvaluation",
    "Samples",
    "Targets",
    "Workload",
    "WorkloadError",
    "chunk_ends",
    "evaluate",
    "from_files",
    "in_fair_order",
    "load",
    "mse",
    "onnx_predictor",
    "paired_drop",
    "resolve_metric",
    "session_predictor",
    "top1",
    "weigh",
]
