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
    run = {line.split()[0]: line.split()[1:] for line in lines}
    assert {phase: int(words[0]) for phase, words in run.items() if words[0] != "0"} == {
        "WARMUP": 5, "BP": 2, "GP": 8, "ENTER": 3, "LEAVE": 3}
    cycles = {phase: float(words[3]) for phase, words in run.items() if words[0] != "0"}
    assert 0 < cycles["GP"] < cycles["BP"] and run["EVALUATE"] == ["0", "batches", "of", "None", "cycles"]
