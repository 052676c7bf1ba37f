"""How recovery trains."""

import math
import re
from dataclasses import dataclass

from compress.errors import CompressionError


@dataclass(frozen=True, kw_only=True)
class RecoverySettings:
    """How long, and by what, a candidate is trained.

    Attributes:
        epochs: Passes over the lessons.
        batch_size: Samples per step.
        time_limit_s: Seconds after which training winds up, all epochs done or not; None for no limit.
        seed: Decides orders and mixtures of samples.
        learning_rate: Of AdamW, at its peak; None for one that is tried out (`compress.recovery.learning_rate`).
        weight_decay: Of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101).
        temperature: By which both networks' scores are divided before they are compared (Hinton et al. 2015,
            arXiv:1503.02531).
        label_weight: Share of the loss against targets, in [0, 1]; distillation from the original network is the rest.
            Where lessons have no targets it counts as 0.
        hint_weight: Weight of the difference between inner tensors of both networks where shapes allow (Romero et al.
            2015, arXiv:1412.6550); 0 for none.
        mixing: Share of the batches whose samples are blended in pairs, in [0, 1]; the original network says what a
            blend is (Beyer et al. 2022, arXiv:2106.05237). Only for inputs of real numbers.
        float_share: Share of the steps before rounding sets in; ranges are observed there.
        threads: CPU threads.
        device: Where training computes: `cpu`, `cuda`, or `cuda:1` for the second card. Another device, or another kind
            of card, gives other weights in their last digits.
    """

    epochs: int = 3
    batch_size: int = 16
    time_limit_s: float | None = None
    seed: int = 0
    learning_rate: float | None = None
    weight_decay: float = 1e-4
    temperature: float = 1.0
    label_weight: float = 0.3
    hint_weight: float = 0.0
    mixing: float = 0.3
    float_share: float = 0.7
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "threads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise CompressionError(f"{name} must be a whole number of at least 1, got {value!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise CompressionError(f"seed must be a whole number of at least 0, got {self.seed!r}")
        self._require("temperature", self.temperature, math.nextafter(0.0, 1.0), math.inf, "positive")
        for name in ("weight_decay", "hint_weight"):
            self._require(name, getattr(self, name), 0.0, math.inf, "at least 0")
        for name in ("label_weight", "mixing", "float_share"):
            self._require(name, getattr(self, name), 0.0, 1.0, "in [0, 1]")
        if not (isinstance(self.device, str) and re.fullmatch(r"cpu|cuda(:\d+)?", self.device)):
            raise CompressionError(f"device must be 'cpu', 'cuda' or 'cuda:' and a number, got {self.device!r}")
        for name in ("learning_rate", "time_limit_s"):
            if getattr(self, name) is not None:
                self._require(name, getattr(self, name), math.nextafter(0.0, 1.0), math.inf, "positive, or None")

    @staticmethod
    def _require(name: str, value: float, low: float, high: float, words: str) -> None:
        if not (isinstance(value, int | float) and low <= value <= high and math.isfinite(value)):
            raise CompressionError(f"{name} must be {words}, got {value!r}")
