"""``adagp board`` as a user meets it."""

from pathlib import Path

import pytest

from adagp.cli import main
from adagp_flows.synthesis import boards
from adagp_flows.synthesis.results import Ecp5


def test_what_was_built_is_printed(monkeypatch, capsys):
    def build(board, config, folder, *, memory_bytes, clock_mhz):
        assert (board, config.rows, folder, memory_bytes, clock_mhz) == ("ulx3s", 4, Path("build/boards/ulx3s"), 8192, None)
        result = Ecp5(tools={}, device="85k", fmax_mhz=31.25, fmax_by_seed={1: 31.25}, lut=47151, ff=22344, bram=171, dsp=34)
        return boards.BoardBuild(board=board, memory_bytes=memory_bytes, bits_per_second=1_000_000, clock_mhz=25.0, result=result,
                                 bitstream=folder / "top.bit", missing=None)

    monkeypatch.setattr(boards, "build", build)
    assert main(["board", "ulx3s", "--preset", "tiny", "--memory", "8192"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines == {"lut": "47,151", "ff": "22,344", "bram": "171", "dsp": "34", "clock": "25 MHz of 31.2", "memory": "8,192 bytes",
                     "line": "1,000,000 bits per second", "bitstream": "build/boards/ulx3s/top.bit"}


@pytest.mark.parametrize(("arguments", "message"), [
    (["de10"], "board must be one of ulx3s, vc707, not 'de10'"),
    (["ulx3s", "--preset", "paper"], "85k has 156 multipliers, and the 180 elements of the arrays need one each"),
    (["ulx3s", "--preset", "tiny", "--clock", "60"], "Ecp5Clock.hz_out must be a multiple of 1.25e+07, not 6e+07")])
def test_mistakes_are_one_line(arguments, message, capsys, tmp_path):
    assert main(["board", *arguments, "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error == f"adagp board: {message}\n" and not (tmp_path / "out").exists()
