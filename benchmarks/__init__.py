"""Benchmarks of pylstm; see README.md in this folder."""
