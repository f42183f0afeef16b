"""scikit-learn's own tests, with our classes; see peer_checks.py."""

import subprocess
import sys
from pathlib import Path

import pytest
import sklearn

from peer_failures import RIGHT, VERSION, WRONG


@pytest.mark.slow
@pytest.mark.skipif(not sklearn.__version__.startswith(f"{VERSION}."), reason=f"the list is of scikit-learn {VERSION}")
def test_what_fails_is_what_is_listed():
    """In a process of its own, as the names of scikit-learn's classes are replaced."""
    script = Path(__file__).with_name("peer_checks.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def test_each_is_listed_once():
    tests = [test for reasons in (RIGHT, WRONG) for names in reasons.values() for test in names]
    assert len(tests) == len(set(tests))
    assert not {test for test in tests if "[" in test and test.partition("[")[0] in tests}
