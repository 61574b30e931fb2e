"""The example does what it says."""

import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_digits.py"


def test_example_learns_the_digits():
    result = subprocess.run([sys.executable, EXAMPLE], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    cosines = [float(re.search("cosine (.*)", line)[1]) for line in lines[:-1]]
    assert len(cosines) == 10 and min(cosines) > 0.3
    assert float(re.fullmatch(r"(.*)% of the test images are right", lines[-1])[1]) > 93
