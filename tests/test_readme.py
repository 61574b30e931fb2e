"""The README's example does what it says."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_example_trains_bit_exactly_in_all_phases():
    example, = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    result = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["WARMUP", "WARMUP", "GP", "BP", "GP", "BP"]
    assert all(line.endswith("cycles, bit-exact: True") for line in lines)
