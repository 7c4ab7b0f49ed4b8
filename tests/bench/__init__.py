"""Benchmarks, run by hand: `./run python -m tests.bench.page` and `./run python -m tests.bench.ingest`."""
