"""Processes that train together, for the tests: forked from one that has loaded all libraries and runs nothing else.

python tests/ranks.py            serve: lines of JSON {"folder", "case", "size", "arguments"} come in
"""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from filelock import FileLock


def work(folder, case, rank, size, arguments):
    """One rank: do a case of rank_cases.py, and store what it returns, or the error."""
    import torch.distributed as dist

    import rank_cases

    if size > 1 and case != "joined":  # which forms the group itself
        os.environ["NMFNET_RANK_TIMEOUT"] = "60"
        store = dist.FileStore(str(Path(folder, "store")), size)
        dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=timedelta(seconds=60))
    try:
        found = {"value": getattr(rank_cases, case)(rank, size, **arguments)}
    except Exception as error:
        found = {"error": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
    temporary = Path(folder, f"{rank}.tmp")
    temporary.write_bytes(pickle.dumps(found))
    temporary.rename(Path(folder, f"{rank}.pkl"))


def warm_up():
    """What is loaded with the first fits, so that each process need not load it again."""
    import torch

    import rank_cases

    torch.set_num_threads(1)
    rank_cases.images(0, 1, n=20, max_iter=1)
    rank_cases.sparse(0, 1, n=20, max_iter=1)


def serve():
    warm_up()
    for line in sys.stdin:
        task = json.loads(line)
        children = []
        for rank in range(task["size"]):
            child = os.fork()
            if child == 0:
                try:
                    work(task["folder"], task["case"], rank, task["size"], task["arguments"])
                finally:
                    os._exit(0)
            children.append(child)
        codes = [os.waitpid(child, 0)[1] for child in children]
        print(json.dumps(codes), flush=True)


class Pool:
    """Where cases are done."""

    @cached_property
    def process(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def found(self, case, size, **arguments):
        """What each rank found: {"value"} or {"error", "message"}; None of one that was killed."""
        with tempfile.TemporaryDirectory() as folder:
            task = {"folder": folder, "case": case, "size": size, "arguments": arguments}
            self.process.stdin.write(json.dumps(task) + "\n")
            self.process.stdin.flush()
            json.loads(self.process.stdout.readline())
            paths = [Path(folder, f"{rank}.pkl") for rank in range(size)]
            return [pickle.loads(path.read_bytes()) if path.exists() else None for path in paths]

    def values(self, case, size, **arguments):
        """What each rank returns."""
        found = self.found(case, size, **arguments)
        for each in found:
            assert each is not None and "value" in each, each and each["traceback"]
        return [each["value"] for each in found]

    def close(self):
        if "process" in self.__dict__:
            self.process.stdin.close()
            self.process.wait()


def found_once(folder, name, find):
    """What `find` returns, found by one of the workers of pytest-xdist, and read by the others."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return find()
    path = folder.parent / f"{name}.pkl"
    with FileLock(f"{path}.lock"):
        if not path.exists():
            path.write_bytes(pickle.dumps(find()))
    return pickle.loads(path.read_bytes())


if __name__ == "__main__":
    serve()
