"""A block on the bench: its FP32 network, and the compressed versions of it."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.faithfulness import open_checked
from compress.formats.kernels import disagreements
from compress.formats.scheme import SCHEMES
from compress.intake.normalize import normalize
from compress.network import Network, load_network, serialize
from compress.policy import FORMATS, UNTOUCHED, Policy
from compress.runtime import open_session
from compress.statistics.calibration import Calibration, calibrate
from compress.stitch import Compressor
from compress.variants import VariantStore
from hwprofiles import HardwareProfile, ProbedChoice
from latency.probing import Built, ChoiceRefused
from search.probing.blocks import Block

_CALIBRATION_SAMPLES = 2


class BlockBench:
    """The baseline is the block as it is; candidates are compressed as a search would compress them.

    Weights are rounded to nearest: what compensates their errors costs time here and none on the target.

    Args:
        block: The layers, whole and in FP32.
        profile: The target.
        batch_size: Samples per inference.

    Raises:
        ChoiceRefused: The network cannot be made.
    """

    def __init__(self, block: Block, *, profile: HardwareProfile, batch_size: int) -> None:
        self._block = block
        self._profile = profile
        self._batch_size = batch_size
        self._stores: dict[Block, VariantStore] = {}
        try:
            self._network = _network(block)
        except CompressionError as error:
            raise ChoiceRefused(str(error)) from error

    @property
    def baseline(self) -> bytes:
        """The FP32 network."""
        return self._network.onnx_bytes

    @cached_property
    def feeds(self) -> Mapping[str, NDArray[Any]]:
        """Made-up activations, one batch."""
        return self._block.feeds(self._batch_size)

    def build(self, choice: ProbedChoice) -> Built:
        """The block as the choice would have it.

        On this machine's own ONNX Runtime the kernels are read back. What does not run as it is called is timed all
        the same: that is how other tools' 8-bit networks run, and why they are slow.

        Raises:
            ChoiceRefused: It cannot be built or opened.
        """
        block = replace(self._block, width=choice.width, rank=choice.rank, sparsity=choice.sparsity)
        try:
            network = _network(block)
            candidate = self._compress(choice, block, network)
            kernels, instead = self._look(candidate, block, network)
        except CompressionError as error:
            raise ChoiceRefused(str(error)) from error
        return Built(
            onnx_bytes=candidate.onnx_bytes,
            session_entries=candidate.session_entries,
            kernels=kernels,
            instead=instead,
        )

    def _compress(self, choice: ProbedChoice, block: Block, network: Network) -> Candidate:
        compressor = Compressor(
            network,
            _calibration(block),
            None if choice.scheme is None else SCHEMES[choice.scheme],
            formats=(choice.format,),
            weight_block=choice.weight_block_size or self._profile.formats.weight_block_size,
            accuracy_level=4 if choice.weight_only_compute == "int8" else 1,
            store=self._stores.setdefault(block, VariantStore()),
        )
        wanted, names = FORMATS[choice.format], [layer.name for layer in network.layers]
        return compressor.build(
            Policy({name: UNTOUCHED if choice.mixed and index % 2 else wanted for index, name in enumerate(names)})
        )

    def _look(self, candidate: Candidate, block: Block, network: Network) -> tuple[tuple[str, ...], str]:
        """The kernels that run the candidate, and what is wrong with them in words; nothing where nobody can look."""
        if self._profile.reach.transport != "local" or self._profile.engine.name != "onnxruntime":
            return (), ""
        feeds = block.feeds(1)
        reference = open_session(network.onnx_bytes).run(None, feeds)
        found = open_checked(candidate, network, feeds, reference).faithfulness
        kernels = tuple(sorted({kernel for of_layer in found.kernels.values() for kernel in of_layer}))
        layers = [layer for layer in network.layers if layer.name in candidate.formats]
        if disagreements(layers, found.kernels, candidate.formats):
            return kernels, f"the runtime runs it in {', '.join(kernels)}"
        return kernels, "; ".join(found.problems)


@lru_cache(maxsize=4)
def _network(block: Block) -> Network:
    model = normalize(ir.from_proto(onnx.load_model_from_string(block.onnx_bytes())))
    return load_network(serialize(model), block.feeds(1))


@lru_cache(maxsize=4)
def _calibration(block: Block) -> Calibration:
    """Ranges only: no moments, so that weights are rounded to nearest."""
    samples = {name: np.repeat(array, _CALIBRATION_SAMPLES, axis=0) for name, array in block.feeds(1).items()}
    return calibrate(_network(block), [samples], limit_bytes=1)
