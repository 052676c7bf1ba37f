"""Policies: which bitwidths, sparsity and rank each layer gets."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Literal

from compress.errors import PolicyError

FORMAT_VERSION = 1

ActivationMode = Literal["static", "dynamic", "float"]
SparsityPattern = Literal["none", "channels", "2:4", "unstructured"]

_BITS = (4, 8, 16, 32)
_MODES = ("static", "dynamic", "float")
_PATTERNS = ("none", "channels", "2:4", "unstructured")


@dataclass(frozen=True, kw_only=True)
class LayerPolicy:
    """What happens to one layer; the default leaves it alone.

    Attributes:
        weight_bits: Bits per weight, one of 4, 8, 16, 32.
        activation_bits: Bits per input activation, one of 8, 16, 32.
        activation_mode: `static` ranges from calibration, `dynamic` ranges per inference, or `float` (16 and 32 bits).
        sparsity: Ratio of weights (or channels) removed, in [0, 1].
        sparsity_pattern: Which weights go together; `none` exactly when sparsity is 0.
        rank: Fraction of the break-even rank in (0, 1]; 1 means not factorized.
    """

    weight_bits: int = 32
    activation_bits: int = 32
    activation_mode: ActivationMode = "float"
    sparsity: float = 0.0
    sparsity_pattern: SparsityPattern = "none"
    rank: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (("weight_bits", _BITS), ("activation_bits", _BITS[1:])):
            if getattr(self, name) not in allowed:
                raise PolicyError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        for name, choices in (("activation_mode", _MODES), ("sparsity_pattern", _PATTERNS)):
            if getattr(self, name) not in choices:
                raise PolicyError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")
        # One spelling per value: 1 and 1.0 are equal, so they must give the same JSON and the same digest.
        for name, kind in (("weight_bits", int), ("activation_bits", int), ("sparsity", float), ("rank", float)):
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise PolicyError(f"{name} must be a number, got {number!r}")
            object.__setattr__(self, name, kind(number) + kind(0))  # adding zero turns -0.0 into 0.0
        if not 0.0 <= self.sparsity <= 1.0:
            raise PolicyError(f"sparsity must be in [0, 1], got {self.sparsity!r}")
        if not 0.0 < self.rank <= 1.0:
            raise PolicyError(f"rank must be in (0, 1], got {self.rank!r}")
        if (self.sparsity == 0.0) != (self.sparsity_pattern == "none"):
            raise PolicyError(
                f"sparsity_pattern must be 'none' exactly when sparsity is 0, "
                f"got {self.sparsity_pattern!r} with sparsity {self.sparsity!r}"
            )
        if (self.activation_bits == 8) != (self.activation_mode != "float"):
            raise PolicyError(
                f"activation_mode must be 'static' or 'dynamic' exactly when activation_bits is 8, "
                f"got {self.activation_mode!r} with {self.activation_bits} bits"
            )

    @property
    def format(self) -> str:
        """The name in `FORMATS` of the bits and the activation mode; `w4a8-static` and the like where there is none."""
        bits = (self.weight_bits, self.activation_bits, self.activation_mode)
        for name, choice in FORMATS.items():
            if bits == (choice.weight_bits, choice.activation_bits, choice.activation_mode):
                return name
        return f"w{self.weight_bits}a{self.activation_bits}-{self.activation_mode}"

    @property
    def is_identity(self) -> bool:
        """Whether the layer is left alone."""
        return self == UNTOUCHED


UNTOUCHED = LayerPolicy()
INT8 = LayerPolicy(weight_bits=8, activation_bits=8, activation_mode="static")

FORMATS: Mapping[str, LayerPolicy] = MappingProxyType(
    {
        "fp32": UNTOUCHED,
        "fp16": LayerPolicy(weight_bits=16, activation_bits=16),
        "int8": INT8,
        "int8-dynamic": LayerPolicy(weight_bits=8, activation_bits=8, activation_mode="dynamic"),
        "int8-weights": LayerPolicy(weight_bits=8),
        "int4-weights": LayerPolicy(weight_bits=4),
    }
)
"""Number formats by the name that knobs, profiles and reports use, the widest first."""


@dataclass(frozen=True)
class Policy:
    """A layer policy for every layer of a network.

    Equality, the canonical JSON and the digest do not depend on the order of the layers.
    """

    layers: Mapping[str, LayerPolicy]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(sorted(self.layers.items()))))

    def __hash__(self) -> int:
        return hash(self.digest)

    def __getitem__(self, layer: str) -> LayerPolicy:
        return self.layers[layer]

    @classmethod
    def uniform(cls, names: Iterable[str], choice: LayerPolicy) -> "Policy":
        """The policy that treats all `names` alike."""
        return cls(dict.fromkeys(names, choice))

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, every field of every layer, a format version."""
        layers = ",".join(f"\n  {json.dumps(name)}: {_written(layer)}" for name, layer in self.layers.items())
        return f'{{\n "format_version": {FORMAT_VERSION},\n "layers": {{{layers}' + ("\n }\n}" if layers else "}\n}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> "Policy":
        """Read what `to_json` wrote.

        Raises:
            PolicyError: Not JSON, a newer format, an unknown field or a value out of range.
        """
        try:
            document = json.loads(text)
        except json.JSONDecodeError as error:
            raise PolicyError(f"a policy must be JSON: {error}") from error
        if not isinstance(document, dict) or not isinstance(document.get("layers"), dict):
            raise PolicyError("a policy must be an object with 'format_version' and 'layers'")
        version = document.get("format_version")
        if version != FORMAT_VERSION:
            raise PolicyError(
                f"policy format_version must be {FORMAT_VERSION}, got {version!r}; a newer one needs a newer paretune"
            )
        return cls({name: _read_layer(name, entry) for name, entry in document["layers"].items()})


@lru_cache(maxsize=4096)
def _written(layer: LayerPolicy) -> str:
    """A layer's object inside the canonical JSON. A search writes thousands of policies of the same few choices."""
    return json.dumps(asdict(layer), sort_keys=True, indent=1).replace("\n", "\n  ")


def _read_layer(name: str, entry: Any) -> LayerPolicy:
    if not isinstance(entry, dict):
        raise PolicyError(f"layer {name!r}: expected an object, got {entry!r}")
    unknown = sorted(set(entry) - {field.name for field in fields(LayerPolicy)})
    if unknown:
        raise PolicyError(f"layer {name!r}: unknown field {unknown[0]!r}")
    try:
        return LayerPolicy(**entry)
    except (PolicyError, TypeError) as error:
        raise PolicyError(f"layer {name!r}: {error}") from error
