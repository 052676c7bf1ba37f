"""The front as a page: pareto.html, one file that opens without a network."""

from search.report.page.document import page_text
from search.report.page.overlay import PageRun, overlay_text

__all__ = ["PageRun", "overlay_text", "page_text"]
