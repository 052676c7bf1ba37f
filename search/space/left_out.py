"""What a probe has shown not to pay, layer by layer, and how that is said."""

from collections.abc import Mapping, Sequence

from compress.layers import Layer
from hwprofiles import HardwareProfile
from search.probing.shapes import shape_of


def formats_left_out(layers: Sequence[Layer], profile: HardwareProfile) -> dict[str, frozenset[str]]:
    """Layer name to the formats that the profile offers and its probe found slower than FP32 on such a layer.

    Empty for a profile that was not probed, and for layers that are like none that were.
    """
    offered = set(profile.formats.offered)
    found = {layer.name: frozenset(profile.cannot_pay(shape_of(layer)) & offered) for layer in layers}
    return {name: formats for name, formats in found.items() if formats}


def words_of_left_out(
    left_out: Mapping[str, frozenset[str]], layers: Sequence[Layer], profile: HardwareProfile
) -> list[str]:
    """A line per format: `int8-dynamic left out of 12 layers: the probe of my-pi measured ×0.71 to ×0.95`."""
    shapes = {layer.name: shape_of(layer) for layer in layers}
    lines = []
    for name in profile.formats.offered:
        without = [layer for layer, formats in left_out.items() if name in formats]
        speedups = [speedup for layer in without for speedup in profile.probed_speedups(shapes[layer], name)]
        if speedups:
            slowest, fastest = f"×{min(speedups):.2f}", f"×{max(speedups):.2f}"
            range_words = slowest if slowest == fastest else f"{slowest} to {fastest}"
            layers_word = "1 layer" if len(without) == 1 else f"{len(without)} layers"
            lines.append(f"{name} left out of {layers_word}: the probe of {profile.name} measured {range_words}")
    return lines
