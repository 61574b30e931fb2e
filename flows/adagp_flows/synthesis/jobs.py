"""The one way in which tools are run: jobs that are not repeated unless something changed.

A job's folder holds its inputs, outputs, ``Makefile``, ``job.log`` and ``job.json``, all of one run that succeeded.
What failed stays beside it, in the folder whose name ends in ``.failed``.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .edalize_flow import CommandFlow
from .progress import ProgressLine
from .tools import Tool, find

LOG, RECORD = "job.log", "job.json"

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 5
_LINES_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Job:
    """Commands of ``tools`` on files.

    ``inputs`` and ``outputs`` are names in the folder where the commands run, one after the other, until one fails;
    inputs come with their texts. The first word of a command is the name of one of the ``tools``.
    """

    name: str
    inputs: Mapping[str, str]
    commands: tuple[tuple[str, ...], ...]
    outputs: tuple[str, ...]
    tools: tuple[Tool, ...]

    def __post_init__(self):
        known = [tool.name for tool in self.tools]
        for command in self.commands:
            if command[0] not in known:
                raise ValueError(f"Job.commands must begin with one of the job's tools ({', '.join(known)}), not {command[0]!r}")

    @property
    def digest(self) -> str:
        """Equal for jobs whose outputs are equal: of all but the name."""
        content = [sorted(self.inputs.items()), self.commands, sorted(self.outputs), self.versions]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def versions(self) -> dict[str, str]:
        return {tool.name: tool.version for tool in sorted(self.tools, key=lambda tool: tool.name)}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A job that succeeded, in this call or, if ``reused``, in an earlier one. ``seconds`` are those of its tools."""

    job: Job
    folder: Path
    seconds: float
    reused: bool

    def read(self, name: str) -> str:
        """The text of the output ``name``."""
        return (self.folder / name).read_text()

    @property
    def log(self) -> str:
        return (self.folder / LOG).read_text(errors="replace")


class JobError(RuntimeError):
    """A tool failed. The text has the job's name, the lines of the log that matter, and where the whole log is."""


def run(job: Job, folder: Path) -> Finished:
    """Runs ``job`` unless ``folder`` holds the outputs of one with the same digest. :class:`JobError`."""
    return run_all([(job, folder)])[0]


def run_all(jobs: Iterable[tuple[Job, Path]], processes: int | None = None) -> list[Finished]:
    """Like :func:`run` for each job and its folder, ``processes`` (default: one for each core) at a time.

    After a failure none is begun any more; those that run are waited for, so that their results are kept, and then
    :class:`JobError` is raised for the first one that failed. Interrupted, all tools are stopped.
    """
    waiting = [(job, Path(folder)) for job, folder in jobs]
    order = [folder for _, folder in waiting]
    finished = {folder: known for job, folder in waiting if (known := _former(job, folder))}
    waiting = [(job, folder) for job, folder in waiting if folder not in finished]
    running: list[_Run] = []
    failures: list[JobError] = []
    line = ProgressLine(len(waiting))
    try:
        while running or (waiting and not failures):
            while waiting and not failures and len(running) < (processes or os.cpu_count()):
                running.append(_Run(*waiting.pop(0)))
            time.sleep(_POLL_SECONDS)
            line.show([(each.job.name, each.seconds, each.step()) for each in running])
            for each in [each for each in running if each.ended()]:
                running.remove(each)
                try:
                    finished[each.folder] = each.result()
                except JobError as error:
                    failures.append(error)
                line.ended(each.job.name, each.seconds, "done" if each.folder in finished else "failed")
    finally:
        line.clear()
        for each in running:
            each.abandon()
    if failures:
        raise failures[0]
    return [finished[folder] for folder in order]


def _former(job: Job, folder: Path) -> Finished | None:
    try:
        record = json.loads((folder / RECORD).read_text())
    except (OSError, ValueError):
        return None
    if record["digest"] != job.digest or not all((folder / name).exists() for name in job.outputs):
        return None
    return Finished(job=job, folder=folder, seconds=record["seconds"], reused=True)


class _Run:
    """A job while its tools run, in a folder beside its own, which it replaces in the end."""

    def __init__(self, job: Job, folder: Path):
        self.job, self.folder = job, folder
        self._partial = folder.with_name(f".{folder.name}.partial")
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir()
        commands = {tool.name: tool.command for tool in job.tools}
        flow = CommandFlow(job.name, job.inputs, [(commands[first], *rest) for first, *rest in job.commands], self._partial)
        flow.configure()
        find("make")
        self._start = time.monotonic()
        with (self._partial / LOG).open("wb") as log:
            self._process = subprocess.Popen(flow.build_command, cwd=self._partial, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=subprocess.STDOUT, start_new_session=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def ended(self) -> bool:
        return self._process.poll() is not None

    def step(self) -> str:
        """What the tool says it is doing."""
        with (self._partial / LOG).open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - (1 << 16)))
            text = log.read().decode(errors="replace")
        pattern = "|".join(tool.step for tool in self.job.tools)
        for line in reversed(text.splitlines()):
            if found := re.search(pattern, line):
                return next(group for group in found.groups() if group is not None)
        return ""

    def result(self) -> Finished:
        """Puts the folder in its place; :class:`JobError`."""
        log = (self._partial / LOG).read_text(errors="replace")
        missing = [name for name in self.job.outputs if not (self._partial / name).exists()]
        if self._process.returncode or missing:
            failed = self.folder.with_name(f"{self.folder.name}.failed")
            _replace_folder(self._partial, failed)
            self._lock.close()
            lines = relevant_lines(log) if self._process.returncode else [f"no {name} was written" for name in missing]
            raise JobError(f"{self.job.name} failed:\n" + "".join(f"  {line}\n" for line in lines) + f"log: {failed / LOG}")
        record = {"digest": self.job.digest, "seconds": self.seconds, "tools": self.job.versions}
        (self._partial / RECORD).write_text(json.dumps(record, indent=1) + "\n")
        _replace_folder(self._partial, self.folder)
        shutil.rmtree(self.folder.with_name(f"{self.folder.name}.failed"), ignore_errors=True)
        self._lock.close()
        return Finished(job=self.job, folder=self.folder, seconds=record["seconds"], reused=False)

    def abandon(self) -> None:
        """Stops the tools and leaves nothing behind."""
        for which in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, which)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        shutil.rmtree(self._partial, ignore_errors=True)
        self._lock.close()


def _locked(folder: Path) -> BinaryIO:
    """A file that is open as long as this process works for ``folder``; :class:`JobError` if another one does."""
    lock = folder.with_name(f".{folder.name}.lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise JobError(f"another process is working on {folder}") from None
    return lock


def _replace_folder(source: Path, target: Path) -> None:
    """Moves ``source`` to where ``target`` is. Whatever ends the process, ``target`` is whole or not there."""
    former = target.with_name(f".{target.name}.former")
    shutil.rmtree(former, ignore_errors=True)
    with suppress(FileNotFoundError):
        os.rename(target, former)
    os.rename(source, target)
    shutil.rmtree(former, ignore_errors=True)


def relevant_lines(log: str) -> list[str]:
    """The lines that speak of an error, or, where none does, the last ones; at most twelve."""
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    own = [line for line in lines if not re.match(r"make(\[\d+\])?: ", line)]
    errors = [line for line in own if re.search(r"(?i)\berror\b|\bfatal\b|assert|exception|wasm trap", line)]
    return (errors or lines)[-_LINES_SHOWN:]
