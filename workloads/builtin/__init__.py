"""The workloads that come with paretune: name to module in this folder, each written as a user writes theirs."""

from collections.abc import Mapping

BUILTIN_WORKLOADS: Mapping[str, str] = {
    "chars-transformer": "chars_transformer",
    "crepe-full": "crepe_full",
    "crepe-tiny": "crepe_tiny",
    "effnet-lite0": "effnet_lite0",
    "magika": "magika",
    "minilm-retrieval": "minilm_retrieval",
    "mnist-resnet": "mnist_resnet",
}
