"""The front as a picture: pareto.png."""

from search.report.figure.drawing import front_figure, front_png

__all__ = ["front_figure", "front_png"]
