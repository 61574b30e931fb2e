"""Commands that measure parts, each of which can be asked for alone."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from adagp.files import replace_file


def run_parts(name: str, text: str, parts: dict[str, Callable[[], dict]], report: Path, arguments: list[str] | None = None) -> int:
    """Runs the parts that ``arguments`` (default: the process's own) name, all by default, and keeps what they
    return in the file ``report``, by their names; a part that is not run keeps its former figures."""
    parser = argparse.ArgumentParser(prog=name, description=text, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="part", help="default: all")
    chosen = parser.parse_args(arguments).parts or list(parts)
    if unknown := [part for part in chosen if part not in parts]:
        parser.exit(2, f"{name}: part must be one of {', '.join(parts)}, not {unknown[0]}\n")
    results = json.loads(report.read_text()) if report.exists() else {}
    for part in chosen:
        results[part] = parts[part]()
        replace_file(report, lambda path: path.write_text(json.dumps(results, indent=1) + "\n"))
    print(f"report: {report}")
    return 0
