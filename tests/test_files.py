"""A file is replaced whole or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from adagp.files import replace_file


def test_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deeper" / "report.json"
    for text in ("first", "second"):
        replace_file(path, lambda partial: partial.write_text(text))
        assert path.read_text() == text
    assert os.listdir(path.parent) == ["report.json"]


def test_former_file_stays_if_writing_fails(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("former")

    def fail(partial):
        partial.write_text("half")
        raise ValueError

    with pytest.raises(ValueError):
        replace_file(path, fail)
    assert path.read_text() == "former" and os.listdir(tmp_path) == ["report.json"]


def test_former_file_stays_if_the_process_is_killed_while_it_writes(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("former")
    script = ("import os, sys; from pathlib import Path; from adagp.files import replace_file\n"
              "replace_file(Path(sys.argv[1]), lambda partial: (partial.write_text('half'), os.kill(os.getpid(), 9)))")
    result = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert result.returncode == -signal.SIGKILL and path.read_text() == "former"
    replace_file(path, lambda partial: partial.write_text("new"))
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["report.json"]


def test_contents_reach_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    path, events = tmp_path / "report.json", []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (events.append(os.readlink(f"/proc/self/fd/{file}")), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (events.append("rename"), rename(*names)))
    replace_file(path, lambda partial: partial.write_text("new"))
    assert events == [str(tmp_path / ".report.partial.json"), "rename", str(tmp_path)]
