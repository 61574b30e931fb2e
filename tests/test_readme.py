"""The README's example does what it says."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_example_gives_the_same_bits_on_both_machines():
    example, = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    result = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    golden, rtl = result.stdout.splitlines()
    assert golden == "GoldenMachine [49024 49016 49008 49000]"  # -1, -0.9683, -0.9365, -0.9048
    assert rtl == golden.replace("Golden", "Rtl")
