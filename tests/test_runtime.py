"""Threads, instruction sets, seeds, and what `import pylstm` brings along."""

import subprocess
import sys
import threading

import pytest
from helpers import run_python

import pylstm
from pylstm import _core, _runtime


@pytest.fixture
def four_cores(monkeypatch):
    """A process of four processors that has not been warned."""
    monkeypatch.setattr(_core, "available_cores", lambda: 4)
    _runtime._warn_of_cores.cache_clear()
    yield
    _runtime._warn_of_cores.cache_clear()


@pytest.mark.usefixtures("four_cores")
def test_more_threads_than_processors_give_one_warning():
    pylstm.set_num_threads(4)
    with pytest.warns(RuntimeWarning, match="5 threads are more than the 4") as caught:
        pylstm.set_num_threads(5)
    assert caught[0].filename == __file__
    pylstm.set_num_threads(6)
    assert pylstm.get_num_threads() == 6


@pytest.mark.usefixtures("four_cores")
def test_threads_can_be_set():
    before = pylstm.get_num_threads()
    try:
        for count in (1, 3):
            pylstm.set_num_threads(count)
            assert pylstm.get_num_threads() == count
    finally:
        pylstm.set_num_threads(before)


def test_every_instruction_set_here_can_be_used():
    before = pylstm.active_isa()
    assert before in pylstm.available_isas()
    try:
        for isa in pylstm.available_isas():
            pylstm.use_isa(isa)
            assert pylstm.active_isa() == isa
    finally:
        pylstm.use_isa(before)


def test_the_environment_forces_an_instruction_set(monkeypatch, tmp_path):
    for isa in pylstm.available_isas():
        monkeypatch.setenv("PYLSTM_ISA", isa)
        assert run_python("-c", "import pylstm; print(pylstm.active_isa())") == f"{isa}\n"
    refused = """
import pylstm
try:
    pylstm.active_isa()
except ValueError as error:
    print(error)
"""
    model = pylstm.Sequential([pylstm.Input((3,)), pylstm.layers.Dense(1)])
    model.save(tmp_path / "model")
    monkeypatch.setenv("PYLSTM_ISA", "pentium")
    load = refused.replace("active_isa()", f"load_model({str(tmp_path / 'model')!r})")
    assert run_python("-c", load).startswith("PYLSTM_ISA must be one of ")
    printed = run_python("-c", refused)
    assert printed.startswith("PYLSTM_ISA must be one of ")
    compiled = printed.partition(", got ")[0].removeprefix("PYLSTM_ISA must be one of ").split(", ")
    assert set(pylstm.available_isas()) <= set(compiled)
    for isa in set(compiled) - set(pylstm.available_isas()):
        monkeypatch.setenv("PYLSTM_ISA", isa)
        assert f"this processor does not support '{isa}'" in run_python("-c", refused)


def test_the_configuration_is_what_a_bug_report_needs(capsys):
    pylstm.show_config()
    text = capsys.readouterr().out
    for fact in (pylstm.__version__, pylstm.active_isa(), _core.build_info()["compiler"]):
        assert fact in text


def test_seeds_follow_the_seed_and_do_not_repeat():
    pylstm.set_seed(4)
    first = [_runtime.draw_seed() for _ in range(1000)]
    pylstm.set_seed(4)
    assert [_runtime.draw_seed() for _ in range(1000)] == first
    pylstm.set_seed(5)
    other = [_runtime.draw_seed() for _ in range(1000)]
    assert len({*first, *other}) == 2000
    assert all(0 <= seed < 2**63 for seed in first)


def test_seeds_drawn_by_many_threads_are_all_different():
    pylstm.set_seed(6)
    drawn = []

    def draw():
        drawn.extend([_runtime.draw_seed() for _ in range(500)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == 2000


@pytest.mark.parametrize("module", ["tqdm", "json", "difflib", "csv", "argparse", "asyncio"])
def test_importing_leaves_out_what_is_seldom_used(module):
    code = (
        "import numpy, sys; before = set(sys.modules); import pylstm; "
        f"sys.exit({module!r} in set(sys.modules) - before)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_there():
    for name in pylstm.__all__:
        assert hasattr(pylstm, name)
    for module in (pylstm.layers, pylstm.callbacks):
        for name in module.__all__:
            assert hasattr(module, name)
