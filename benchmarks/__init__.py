"""Our own speed and quality, measured. Each runs as `python -m benchmarks.NAME` and ends with one line of JSON."""
