"""How weights were recovered, in words."""

from compress.recovery.lineage import Lineage


def how_recovered(lineage: Lineage) -> str:
    """How weights were recovered: 'distillation on 3,000 samples, 3 epochs, seed 0'."""
    if not lineage.steps:
        return lineage.method
    many = f"{lineage.epochs} epochs" if lineage.epochs > 1 else "1 epoch" if lineage.epochs else "less than an epoch"
    return f"{lineage.method}, {many}, seed {lineage.seed}"
