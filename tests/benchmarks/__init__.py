"""Measurements, not tests: each prints one JSON line. `make bench`, or `python -m tests.benchmarks NAME...`."""
