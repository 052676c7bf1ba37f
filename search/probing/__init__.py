"""What a probe measures: real layer shapes, small networks of them, and their compressed versions."""

from search.probing.cases import plan_groups
from search.probing.shapes import BUILT_IN, QUICK, shapes_of

__all__ = ["BUILT_IN", "QUICK", "plan_groups", "shapes_of"]
