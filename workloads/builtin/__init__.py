"""The workloads that come with paretune: name to module in this folder, each written as a user writes theirs."""

from collections.abc import Mapping

BUILTIN_WORKLOADS: Mapping[str, str] = {
    "mnist-resnet": "mnist_resnet",
}
