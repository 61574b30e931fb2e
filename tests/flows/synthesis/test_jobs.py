"""How jobs run, with the shell as their tool."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from adagp_flows.synthesis import jobs
from adagp_flows.synthesis.jobs import Job, JobError, run, run_all
from adagp_flows.synthesis.tools import Tool

SHELL = Tool(name="sh", command="/bin/sh", version="1")


def job(script: str, **changes) -> Job:
    base = Job(name="copying", inputs={"in.txt": "42\n", "run.sh": script}, commands=(("sh", "run.sh"),),
               outputs=("out.txt",), tools=(SHELL,))
    return replace(base, **changes)


COPY = "cp in.txt out.txt; echo ran >> ../runs"


def runs(folder) -> int:
    path = folder / "runs"
    return len(path.read_text().split()) if path.exists() else 0


def test_outputs_and_log_are_in_the_folder(tmp_path):
    finished = run(job("echo hello; cp in.txt out.txt"), tmp_path / "job")
    assert finished.folder == tmp_path / "job" and not finished.reused
    assert finished.read("out.txt") == "42\n"
    assert "hello\n" in finished.log


def test_words_of_commands_reach_the_tool_as_they_are(tmp_path):
    words = ("a b", "$HOME", "it's", "#", "$(shell date)", "%", "\\")
    finished = run(job("", commands=(("sh", "-c", 'printf "%s\\n" "$@" > out.txt', "sh", *words),)), tmp_path / "job")
    assert finished.read("out.txt").splitlines() == list(words)


def test_commands_stop_at_the_first_that_fails(tmp_path):
    commands = (("sh", "-c", "exit 3"), ("sh", "-c", "echo ran >> ../runs; touch out.txt"))
    with pytest.raises(JobError):
        run(job("", commands=commands), tmp_path / "job")
    assert runs(tmp_path) == 0


def test_what_did_not_change_is_not_run_again(tmp_path):
    first, second = (run(job(COPY), tmp_path / "job") for _ in range(2))
    assert (runs(tmp_path), first.reused, second.reused) == (1, False, True)
    assert second.read("out.txt") == "42\n" and second.seconds == first.seconds


@pytest.mark.parametrize("changes", [
    {"inputs": {"in.txt": "43\n", "run.sh": COPY}},
    {"commands": (("sh", "-e", "run.sh"),)},
    {"tools": (replace(SHELL, version="2"),)}])
def test_what_changed_is_run_again(tmp_path, changes):
    run(job(COPY), tmp_path / "job")
    assert not run(job(COPY, **changes), tmp_path / "job").reused
    assert runs(tmp_path) == 2


def test_a_missing_output_is_made_again(tmp_path):
    finished = run(job(COPY), tmp_path / "job")
    (finished.folder / "out.txt").unlink()
    assert run(job(COPY), tmp_path / "job").read("out.txt") == "42\n"


def test_failure_shows_the_lines_that_matter_and_keeps_the_former_result(tmp_path):
    run(job(COPY), tmp_path / "job")
    script = "i=0; while [ $i -lt 100 ]; do echo step $i; i=$((i+1)); done; echo 'ERROR: no such cell'; echo bye; exit 1"
    with pytest.raises(JobError) as raised:
        run(job(script), tmp_path / "job")
    log = tmp_path / "job.failed/job.log"
    assert str(raised.value) == f"copying failed:\n  ERROR: no such cell\nlog: {log}"
    assert "step 99" in log.read_text()
    assert run(job(COPY), tmp_path / "job").reused


def test_failure_without_a_word_shows_the_end_of_the_log():
    lines = jobs.relevant_lines("".join(f"step {i}\n" for i in range(100)) + "make: *** [Makefile:6: finished] Killed\n")
    assert len(lines) == 12 and lines[0] == "step 89" and lines[-1].endswith("Killed")


def test_an_output_that_was_not_written_is_a_failure(tmp_path):
    with pytest.raises(JobError, match="no out.txt was written"):
        run(job("true"), tmp_path / "job")
    assert not (tmp_path / "job").exists()


def test_success_clears_the_failure_before_it(tmp_path):
    with pytest.raises(JobError):
        run(job("false"), tmp_path / "job")
    run(job(COPY), tmp_path / "job")
    assert not (tmp_path / "job.failed").exists()


def test_a_command_of_an_unknown_tool_is_refused():
    with pytest.raises(ValueError, match=r"Job.commands must begin with one of the job's tools \(sh\), not 'yosys'"):
        job("", commands=(("yosys", "-V"),))


def test_jobs_run_side_by_side(tmp_path):
    """Each waits for a file that the other writes."""
    meet = "touch ../{}; while [ ! -e ../{} ]; do sleep 0.01; done; touch out.txt"
    both = [(job(meet.format(a, b)), tmp_path / f"job{a}") for a, b in ("01", "10")]
    assert [finished.folder.name for finished in run_all(both, processes=2)] == ["job0", "job1"]


def test_after_a_failure_those_that_run_are_kept_and_none_is_begun(tmp_path):
    slow = "while [ ! -e ../failed ]; do sleep 0.01; done; sleep 0.3; touch out.txt"
    all_jobs = [(job("touch ../failed; false"), tmp_path / "bad"), (job(slow), tmp_path / "slow"), (job(COPY), tmp_path / "late")]
    with pytest.raises(JobError, match="copying failed"):
        run_all(all_jobs, processes=2)
    assert (tmp_path / "slow/out.txt").exists() and not (tmp_path / "late").exists()


def test_another_process_on_the_same_folder_is_refused(tmp_path):
    with jobs._locked(tmp_path / "job"):
        with pytest.raises(JobError, match="another process is working on"):
            run(job(COPY), tmp_path / "job")
    assert run(job(COPY), tmp_path / "job").reused is False


def test_an_interrupt_stops_the_tool_and_leaves_nothing(tmp_path):
    program = f"""
from pathlib import Path
from adagp_flows.synthesis.jobs import Job, run
from adagp_flows.synthesis.tools import Tool
run(Job(name="long", inputs={{}}, commands=(("sh", "-c", "echo $$ > ../pid; sleep 600"),), outputs=(),
        tools=(Tool(name="sh", command="/bin/sh", version="1"),)), Path({str(tmp_path / "job")!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a job in the background ignores it
    pid = tmp_path / "pid"
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=30)[1]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".job.lock", "pid"]
