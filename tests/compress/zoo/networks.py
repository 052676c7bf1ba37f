"""Networks of the zoo, normalized; each is loaded once for all tests."""

import functools
import tempfile
from pathlib import Path

from compress.network import Network, load_network
from tests.compress.zoo import TORCH_ZOO, ZOO, write
from tests.compress.zoo.case import Case, Feeds, TorchCase
from tests.compress.zoo.channels import CHANNEL_ZOO

# Of the modules only the one that the other cases do not cover: exporting takes seconds.
NAMES = (*ZOO, "transformer_net", *CHANNEL_ZOO)


@functools.cache
def network(name: str) -> tuple[Network, Feeds]:
    """A network of the zoo and an input for it; nobody may change either."""
    case = {**ZOO, **TORCH_ZOO, **CHANNEL_ZOO}[name]()
    return read(case), case.example


def read(case: Case | TorchCase) -> Network:
    """The network that a case is."""
    if isinstance(case, TorchCase):
        return load_network(case.module, case.example)
    with tempfile.TemporaryDirectory() as folder:
        return load_network(write(case, Path(folder)), case.example)
