"""Makes a simulator of a system, and firmware for it, from a release folder and what public packages have."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pythondata_cpu_picorv32

from adagp_tb import verilator

FOLDER = Path(__file__).parent
FIRMWARE = FOLDER / "firmware"
PROCESSOR = Path(pythondata_cpu_picorv32.data_location, "picorv32.v")

_TARGET = ["-target", "riscv32-freestanding-none", "-mcpu=generic_rv32+m+zicsr"]
_OPTIONS = ["-std=c11", "-O2", "-g0", "-ffreestanding", "-nostdlib", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
_LOAD = 1  # the type of a segment of an ELF file that is part of the memory


def simulator(release: Path) -> Path:
    """The compiled system around the core in ``release``, from the cache if it is there; raises
    :class:`adagp_tb.verilator.BuildError`."""
    sources = [release / "bench/configuration.vh", release / "rtl/adagp.v", release / "bench/bench_memory.v",
               FOLDER / "arbiter.v", FOLDER / "system.v", PROCESSOR]
    return verilator.build("\n".join(source.read_text() for source in sources), FOLDER / "simulation.cpp", top="system")


def firmware(release: Path, folder: Path, *, batches: int, board: Path = FIRMWARE / "verilog", headers: Path | None = None) -> Path:
    """``firmware.hex`` in ``folder``: a word of the on-chip memory a line, from address 0.

    Trains the image of ``release`` through its driver: ``batches`` batches by polling and as many more by interrupt.
    ``board`` holds ``board.c`` and ``board.h`` of the system, which may include files in ``headers``. Raises :class:`adagp_tb.verilator.BuildError` with the compiler's words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "firmware.elf"
    sources = [*(FIRMWARE / name for name in ("start.S", "print.c", "main.c")), board / "board.c", release / "driver/adagp.c"]
    includes = [FIRMWARE, board, release / "driver", release / "image", *([headers] if headers else [])]
    command = [sys.executable, "-m", "ziglang", "cc", *_TARGET, *_OPTIONS, f"-DRUN_BATCHES={batches}u",
               *(f"-I{include}" for include in includes),
               "-T", FIRMWARE / "link.ld", "-o", program, *sources]
    caches = {name: str(folder / "cache") for name in ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")}
    result = subprocess.run(command, env=os.environ | caches, capture_output=True, text=True, check=False)
    if result.returncode:
        raise verilator.BuildError(f"the firmware does not compile:\n{result.stderr[-4000:]}")
    words = memory(program.read_bytes())
    target = folder / "firmware.hex"
    target.write_text("".join(f"{word:08x}\n" for word in words))
    return target


def memory(elf: bytes) -> list[int]:
    """The words of memory from address 0 on that the segments of a little-endian 32-bit ELF file fill."""
    if elf[:6] != b"\x7fELF\x01\x01":
        raise ValueError("elf must be a little-endian ELF file of 32 bits")
    offset, = struct.unpack_from("<I", elf, 28)
    size, count = struct.unpack_from("<HH", elf, 42)
    contents = bytearray()
    for index in range(count):
        kind, first, _, address, length = struct.unpack_from("<5I", elf, offset + index * size)
        if kind == _LOAD and length:
            contents.extend(bytes(max(0, address + length - len(contents))))
            contents[address:address + length] = elf[first:first + length]
    contents.extend(bytes(-len(contents) % 4))
    return list(struct.unpack(f"<{len(contents) // 4}I", contents))
