"""No output of the core follows an input within a cycle."""

import json
import subprocess
from pathlib import Path

from adagp_flows.synthesis import tools

from .paths import combinational_paths
from .prove import ProofError, Verdict

RULE = "no_paths"
_TEXT = "no output port depends on an input port within a cycle"
_SCRIPT = """read_verilog core.v
hierarchy -top adagp
proc -noopt
flatten
opt_expr
opt_clean
write_json core.json
"""


def ports_are_registered(verilog: str, folder: Path) -> Verdict:
    """Looks through the whole netlist of ``verilog`` (its top is ``adagp``), nothing left out, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "core.v").write_text(verilog)
    (folder / "paths.ys").write_text(_SCRIPT)
    result = subprocess.run([tools.find("yosys").command, "-q", "-l", "yosys.log", "paths.ys"], cwd=folder, capture_output=True,
                            text=True, check=False)
    if result.returncode:
        raise ProofError(f"yosys failed with {result.returncode}: {(result.stdout + result.stderr)[-2000:]}")
    paths = combinational_paths(json.loads((folder / "core.json").read_text()), "adagp")
    method = f"{len(paths)} paths: {'; '.join(map(str, paths[:4]))}" if paths else "search of the whole netlist"
    return Verdict(rule=RULE, text=_TEXT, proved=not paths, method=method)
