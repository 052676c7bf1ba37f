"""Networks of the zoo, loaded and calibrated once for all tests of this folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from compress.formats.scheme import SCHEMES
from compress.network import Network, load_network
from compress.policy import FORMATS
from compress.runtime import open_session
from compress.statistics.calibration import Calibration, calibrate
from compress.stitch import Compressor
from compress.variants import VariantStore
from tests.compress.zoo import TORCH_ZOO, ZOO, write
from tests.compress.zoo.case import Case, TorchCase
from tests.compress.zoo.channels import CHANNEL_ZOO


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A network of the zoo as the compressor sees it."""

    case: Case | TorchCase
    network: Network
    calibration: Calibration
    outputs: list[Any]

    def compressor(
        self, scheme: str = "u8s8", *, channel_multiple: int = 1, store: VariantStore | None = None, threads: int = 1
    ) -> Compressor:
        """A compressor that can do everything, with a store of its own unless one is given."""
        return Compressor(
            self.network,
            self.calibration,
            SCHEMES[scheme],
            channel_multiple=channel_multiple,
            formats=FORMATS,
            weight_block=16,
            store=store,
            threads=threads,
        )


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Loaded]:
    """Zoo name to its loaded network; each is loaded once."""
    cache: dict[str, Loaded] = {}

    def _load(name: str) -> Loaded:
        if name not in cache:
            cache[name] = _load_case({**ZOO, **TORCH_ZOO, **CHANNEL_ZOO}[name](), tmp_path_factory.mktemp("zoo"))
        return cache[name]

    return _load


def _load_case(case: Case | TorchCase, folder: Path) -> Loaded:
    source = write(case, folder) if isinstance(case, Case) else case.module
    network = load_network(source, case.example)
    outputs = open_session(network.onnx_bytes).run(None, dict(case.example))
    return Loaded(case=case, network=network, calibration=calibrate(network, [case.example]), outputs=outputs)


@pytest.fixture(params=[*ZOO, *TORCH_ZOO])
def loaded(request: pytest.FixtureRequest, load: Callable[[str], Loaded]) -> Loaded:
    return load(request.param)
