"""Make one virtual environment a peer: python -m benchmarks.setup [PEER ...] [--directory DIR]."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import venv

from benchmarks import peers
from benchmarks.remote import Worker


def _create(name: str, pip: list[str]) -> None:
    target = peers.directory() / name
    if target.exists() and not (target / "pyvenv.cfg").exists():
        raise SystemExit(f"{target}: expected an environment of ours or nothing, got other files")
    if target.exists():
        shutil.rmtree(target)
    venv.create(target, with_pip=True)
    command = [str(peers.python(name)), "-m", "pip", "install", "--quiet", *pip]
    subprocess.run([*command, *peers.PACKAGES[name]], check=True)
    worker = Worker(name, 1)
    print(", ".join(f"{key} {value}" for key, value in worker.versions().items()))
    worker.close()
    (target / "ready").write_text("\n".join(peers.PACKAGES[name]) + "\n")  # complete, so pinned


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.setup", description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"of {', '.join(peers.PACKAGES)}")
    parser.add_argument("--directory", help=f"default: $PYLSTM_PEERS or {peers.directory()}")
    parser.add_argument("--pip", nargs=1, action="extend", default=[], help="passed on: --pip=-v")
    args = parser.parse_args()
    if unknown := set(args.peers) - set(peers.PACKAGES):
        parser.error(f"unknown peers {sorted(unknown)}; there are {', '.join(peers.PACKAGES)}")
    if args.directory:
        os.environ["PYLSTM_PEERS"] = os.path.abspath(args.directory)
    for name in args.peers or peers.PACKAGES:
        print(f"{name}: ", end="", flush=True)
        if peers.is_ready(name):
            print("is set up")
        else:
            _create(name, args.pip)


if __name__ == "__main__":
    main()
