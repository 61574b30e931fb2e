"""The release folder: what is in it, that it is always the same, and that mistakes leave nothing."""

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from adagp.compiler import CompileError
from adagp.spec.config import Design, preset
from adagp_flows.release import package as packaging
from adagp_flows.release.package import FolderNotEmpty, package

from .conftest import CONFIG


def adagp(*arguments, folder, **variables):
    return subprocess.run([sys.executable, "-m", "adagp.cli", *map(str, arguments)], cwd=folder, capture_output=True,
                          text=True, check=False, env=os.environ | variables)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_command_gives_the_same_bytes_in_another_process(release, tmp_path):
    (tmp_path / "empty").mkdir()
    result = adagp("package", "--design", "max", "--preset", "tiny", "-o", "empty", folder=tmp_path, PYTHONHASHSEED="7")
    assert (result.returncode, result.stdout, result.stderr) == (0, "empty\n", "")
    assert contents(tmp_path / "empty") == contents(release)
    assert os.listdir(tmp_path) == ["empty"]


def test_the_manifest_lists_every_other_file(release):
    listed = json.loads((release / "manifest.json").read_text())
    found = contents(release)
    del found["manifest.json"]
    assert listed["sha256"] == {path: hashlib.sha256(data).hexdigest() for path, data in found.items()}
    assert listed["configuration"]["design"] == "max" and listed["configuration"]["rows"] == CONFIG.rows


def test_no_file_names_the_machine_that_made_it(release, tmp_path):
    places = {str(Path.home()), str(release.parent), sys.prefix, str(Path(packaging.__file__).parents[3]), "/tmp/"}
    for path, data in contents(release).items():
        assert not [place for place in places if len(place) > 1 and place.encode() in data], path


def test_the_readme_names_the_files_that_are_there(release):
    text = (release / "README.md").read_text()
    named = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert all((release / path).exists() for path in named)
    assert {path.name for path in release.iterdir()} == {path.partition("/")[0] for path in named} | {"README.md", "LICENSE"}


@pytest.mark.parametrize("arguments, message", [
    (["--preset", "huge"], "invalid choice: 'huge'"),
    (["--preset", "tiny", "--rows", "1"], "AcceleratorConfig.rows must be an integer from 2 to 128, not 1"),
    (["--preset", "tiny", "--clock", "0"], "--clock: must be a frequency above 0, not 0"),
    (["--preset", "tiny", "--clock", "fast"], "--clock: must be a frequency above 0, not fast"),
    (["--preset", "tiny", "-o", "full"], "must be new or empty, and full is not"),
    (["--preset", "tiny", "-o", "full/file"], "must be new or empty, and full/file is not"),
    (["--preset", "tiny", "-o", "full/file/inside"], "File exists")])
def test_mistakes_are_one_line_and_leave_nothing(arguments, message, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    result = adagp("package", *arguments, folder=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert contents(tmp_path) == {"full/file": b"mine"}


def test_a_failure_on_the_way_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(packaging.image, "make", lambda config: type("Image", (), {"write": lambda self, folder: None})())
    monkeypatch.setattr(packaging, "generate", lambda config: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        package(CONFIG, tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_was_filled_meanwhile_is_left_alone(tmp_path, monkeypatch):
    def write(config, folder, clock_mhz):
        folder.mkdir()
        (tmp_path / "new").mkdir()
        (tmp_path / "new/file").write_text("mine")

    monkeypatch.setattr(packaging, "_write", write)
    with pytest.raises(OSError):
        package(CONFIG, tmp_path / "new")
    assert contents(tmp_path) == {"new/file": b"mine"}


def test_a_test_image_that_does_not_fit_is_refused(tmp_path):
    config = replace(preset("tiny"), design=Design.EFFICIENT, predictor_elements=64)
    with pytest.raises(CompileError):
        package(config, tmp_path / "new")
    assert os.listdir(tmp_path) == []


def test_not_empty_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(packaging, "_write", lambda *_: pytest.fail("worked"))
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderNotEmpty, match="must be new or empty"):
        package(CONFIG, tmp_path)
