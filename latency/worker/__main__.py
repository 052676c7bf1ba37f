"""``python -m latency.worker``: serves standard input."""

from __future__ import annotations

from latency.worker.serve import main

if __name__ == "__main__":
    main()
