"""The examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import pylstm

MODULES = ["pylstm", *(m.name for m in pkgutil.walk_packages(pylstm.__path__, "pylstm."))]
EXAMPLES = [
    test
    for name in MODULES
    if not name.endswith("__main__")  # it runs the command line
    for test in doctest.DocTestFinder().find(importlib.import_module(name))
    if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda test: test.name)
def test_examples_in_docstrings(example):
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


def test_the_examples_are_found():
    assert len(EXAMPLES) > 20
