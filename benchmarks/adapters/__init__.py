"""One small module a library, each run in a process of its own.

Every module has `versions()` and `prepare(problem)`, which returns `(run, answer)`:
`run(repeats)` does the work that often; `answer()` gives arrays that all libraries must agree on:
the output for "forward" and "step", else the loss (mean squared error against y, or sparse
cross-entropy) and the gradient of the recurrent kernel.
"""
