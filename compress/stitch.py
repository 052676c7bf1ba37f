"""From a policy to the bytes of a candidate: graph edits on a clone, weights from the variant store."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.calibration import Calibration
from compress.errors import PolicyError
from compress.factorize import (
    FactorizeLayers,
    Factors,
    first_name,
    first_weight,
    inner_name,
    rank_of,
    second_weight,
)
from compress.graph import constant
from compress.layers import Layer
from compress.network import Network, serialize
from compress.policy import LayerPolicy, Policy
from compress.quantize import QuantizeLayers
from compress.runtime import FAITHFUL_SESSION_ENTRIES
from compress.scheme import QuantizationScheme, QuantizedWeight, Range
from compress.variants import VariantStore


@dataclass(frozen=True, kw_only=True, eq=False)
class Candidate:
    """A compressed network: what is timed, validated and shipped, byte for byte.

    Attributes:
        policy: What was asked.
        onnx_bytes: The network.
        session_entries: Runtime session configuration without which the bytes would not run as the policy says.
        ranks: Layer name to its rank, for factorized layers.
    """

    policy: Policy
    onnx_bytes: bytes
    session_entries: Mapping[str, str]
    ranks: Mapping[str, int]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal: names the candidate everywhere."""
        return hashlib.sha256(self.onnx_bytes).hexdigest()

    @property
    def integer_layers(self) -> frozenset[str]:
        """Names of the layers that the policy wants in integer kernels."""
        return frozenset(name for name, choice in self.policy.layers.items() if choice.activation_bits == 8)


class Compressor:
    """Builds candidates of one network.

    A layer is factorized first and quantized second; both factors get the layer's bitwidth.

    Args:
        network: The FP32 network; never changed.
        calibration: What `calibrate` found on it.
        scheme: 8-bit formats of the target; None where 8 bits do not pay.
        rank_multiple: Ranks are rounded to this many channels.
        store: Where finished weights are kept; shared by all candidates.
    """

    def __init__(
        self,
        network: Network,
        calibration: Calibration,
        scheme: QuantizationScheme | None,
        *,
        rank_multiple: int = 1,
        store: VariantStore | None = None,
    ) -> None:
        if rank_multiple < 1:
            raise ValueError(f"rank_multiple must be at least 1, got {rank_multiple}")
        self.network = network
        self.scheme = scheme
        self.rank_multiple = rank_multiple
        self._calibration = calibration
        self._store = VariantStore() if store is None else store
        self._nodes = {node.name: node for node in network.model.graph}

    def build(self, policy: Policy) -> Candidate:
        """The candidate for `policy`: the same policy gives the same bytes, in any process.

        Raises:
            PolicyError: The policy does not fit the network, or asks for what is not built here.
        """
        self._check(policy)
        ranks = {
            layer: rank
            for layer in self.network.layers
            if (rank := rank_of(layer, policy[layer.name].rank, self.rank_multiple)) is not None
        }
        integer = [layer for layer in self.network.layers if policy[layer.name].weight_bits == 8]
        onnx_bytes = self._transform(ranks, integer) if ranks or integer else self.network.onnx_bytes
        return Candidate(
            policy=policy,
            onnx_bytes=onnx_bytes,
            session_entries=FAITHFUL_SESSION_ENTRIES if integer else {},
            ranks={layer.name: rank for layer, rank in ranks.items()},
        )

    def _transform(self, ranks: Mapping[Layer, int], integer: list[Layer]) -> bytes:
        passes: list[ir.passes.InPlacePass] = []
        ranges: dict[str, Range] = dict(self._calibration.ranges)
        if ranks:
            passes.append(FactorizeLayers({layer: self._factors(layer, rank) for layer, rank in ranks.items()}))
            for layer, rank in ranks.items():
                ranges[self._inner_tensor(layer)] = self._calibration.inner_range(layer.name, rank)
        if integer:
            assert self.scheme is not None  # noqa: S101  # _check has refused 8 bits without one
            weights: dict[str, QuantizedWeight] = {}
            for layer in integer:
                weights |= self._quantized(layer, ranks.get(layer), self.scheme)
            passes.append(QuantizeLayers(self.scheme, weights, ranges))
        try:
            result = ir.passes.functionalize(ir.passes.Sequential(*passes))(self.network.model)
        except ir.passes.PassError as error:  # onnx-ir wraps whatever a pass raises
            raise PolicyError(f"the policy cannot be built: {error.__cause__ or error}") from error
        return serialize(result.model)

    def _factors(self, layer: Layer, rank: int) -> Factors:
        return self._calibration.factors[layer.name].cut(rank)

    def _quantized(self, layer: Layer, rank: int | None, scheme: QuantizationScheme) -> dict[str, QuantizedWeight]:
        """Operator name to integer weight, for the one or two operators that the layer has become."""
        key = (layer.name, rank, scheme.name)
        axis = layer.output_axis
        if rank is None:
            make = lambda: scheme.quantize_weight(self._weight(layer), axis)  # noqa: E731
            return {layer.node_name: self._store.get(key, make)}
        factors = self._factors(layer, rank)
        return {
            first_name(layer.node_name): self._store.get(
                (*key, "first"), lambda: scheme.quantize_weight(first_weight(layer, factors.first), axis)
            ),
            layer.node_name: self._store.get(
                (*key, "second"), lambda: scheme.quantize_weight(second_weight(layer, factors.second), axis)
            ),
        }

    def _weight(self, layer: Layer) -> NDArray[np.float32]:
        return constant(self.network.model.graph.initializers[layer.weight_name])

    def _inner_tensor(self, layer: Layer) -> str:
        return inner_name(self._nodes[layer.node_name].outputs[0].name or "")

    def _check(self, policy: Policy) -> None:
        names = {layer.name for layer in self.network.layers}
        for problem, found in (
            ("names a layer that the network has not", set(policy.layers) - names),
            ("lacks a layer of the network", names - set(policy.layers)),
        ):
            if found:
                raise PolicyError(f"the policy {problem}: {min(found)!r}")
        for layer in self.network.layers:
            self._check_layer(layer, policy[layer.name])

    def _check_layer(self, layer: Layer, choice: LayerPolicy) -> None:
        bits = (choice.weight_bits, choice.activation_bits, choice.activation_mode)
        if bits not in ((32, 32, "float"), (8, 8, "static")):
            raise PolicyError(
                f"layer {layer.name!r}: weights of {bits[0]} bits with {bits[2]} activations of {bits[1]} bits are "
                "not built yet; use 32/32 float or 8/8 static"
            )
        if choice.weight_bits == 8 and self.scheme is None:
            raise PolicyError(f"layer {layer.name!r}: the target has no 8-bit scheme; use 32 bits")
        if choice.sparsity:
            raise PolicyError(f"layer {layer.name!r}: sparsity {choice.sparsity} is not built yet; use 0")
        if choice.rank < 1.0 and rank_of(layer, choice.rank, self.rank_multiple) is None:
            raise PolicyError(
                f"layer {layer.name!r}: rank {choice.rank} saves nothing here "
                f"(ranks are multiples of {self.rank_multiple}); use 1.0"
            )
