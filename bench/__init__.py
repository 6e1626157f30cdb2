"""Benchmarks of snnfp."""
