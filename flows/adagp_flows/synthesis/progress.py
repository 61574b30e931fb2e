"""What long-running jobs are doing, on a terminal one line that is kept up to date."""

import shutil
import sys
from collections.abc import Sequence


class ProgressLine:
    """On stderr: with a terminal, the jobs that run; without, only those that have ended."""

    def __init__(self, jobs: int):
        self._jobs, self._done, self._shown = jobs, 0, ""

    def show(self, running: Sequence[tuple[str, float, str]]) -> None:
        """``running``: name, seconds since the start, and present step of each job."""
        if not sys.stderr.isatty():
            return
        parts = [f"{name} {duration(seconds)} {step}".rstrip() for name, seconds, step in running]
        line = f"[{self._done}/{self._jobs}] " + " | ".join(parts)
        line = line[:shutil.get_terminal_size().columns - 1]
        if line != self._shown:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            self._shown = line

    def ended(self, name: str, seconds: float, outcome: str) -> None:
        self._done += 1
        self.clear()
        print(f"[{self._done}/{self._jobs}] {name}: {outcome} after {duration(seconds)}", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = ""


def duration(seconds: float) -> str:
    """As minutes and seconds, or with hours: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
