"""The grids that weights are rounded to: one scale per output channel, or one per block of inputs."""

from dataclasses import dataclass

from compress.formats.scheme import QuantizationScheme


@dataclass(frozen=True, kw_only=True)
class WeightGrid:
    """Which integers there are, and how many weights share a scale.

    Attributes:
        bits: 4 or 8.
        limit: For channel scales: the largest magnitude, symmetric around zero. 0 where the grid is asymmetric.
        block: Inputs that share a scale and a zero point; 0 for one symmetric scale per output channel.
        one_scale: Whether kernels are faster where all channels share their scale, so that they should where that costs
            next to nothing.
    """

    bits: int
    limit: int
    block: int
    one_scale: bool = False

    @property
    def lowest(self) -> int:
        """Least integer."""
        return 0 if self.block else -self.limit

    @property
    def highest(self) -> int:
        """Largest integer."""
        return 2**self.bits - 1 if self.block else self.limit

    @property
    def key(self) -> tuple[int, ...]:
        """What the variant store knows the grid by."""
        return self.bits, self.limit, self.block, int(self.one_scale)


def grid_of(format_name: str, scheme: QuantizationScheme | None, block: int) -> WeightGrid | None:
    """The grid of a format; None for floats.

    Args:
        format_name: A name in `compress.policy.FORMATS`.
        scheme: The target's 8-bit format.
        block: Inputs per scale of weight-only formats.
    """
    if format_name in ("int8", "int8-dynamic") and scheme is not None:
        return WeightGrid(bits=8, limit=scheme.weight_limit, block=0, one_scale=format_name == "int8-dynamic")
    if format_name == "int8-weights":
        return WeightGrid(bits=8, limit=0, block=block)
    if format_name == "int4-weights":
        return WeightGrid(bits=4, limit=0, block=block)
    return None
