"""What `pylstm bench` and the repository's benchmarks share: problems, limits, floor, our runs.

`problems` needs only NumPy: the environments of other libraries import it without the engine.
"""
