"""The C driver under Python: compiled with the host's compiler, its registers behind any two functions."""

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

from adagp.driver import files

WORD = ctypes.c_uint32
READ = ctypes.CFUNCTYPE(WORD, ctypes.c_void_p, WORD)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, WORD, WORD)
CLOCK = ctypes.CFUNCTYPE(WORD, ctypes.c_void_p)
IDLE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

OK, RUNNING = 0, 1
ARGUMENT, ABSENT, VERSION, CONFIGURATION, BUSY, IDLE_CORE, FAULT, TIMEOUT = range(-1, -9, -1)
EVALUATE, STAY = 1, 2
DONE_EVENT, FAULT_EVENT = 1, 2
STALLED_POLLS = 500
"""Of the compiled driver, instead of 2**30."""


class DeviceStruct(ctypes.Structure):
    _fields_ = [("registers", ctypes.c_void_p), ("read", READ), ("write", WRITE), ("now", CLOCK), ("idle", IDLE),
                ("context", ctypes.c_void_p)]


class Identity(ctypes.Structure):
    _fields_ = [(name, WORD) for name in (
        "version_major", "version_minor", "version_patch", "register_map", "instruction_set", "configuration",
        "design", "rows", "columns", "bus_bytes", "stream_elements", "stationary_elements", "vector_words",
        "vector_lanes", "predictor_rows", "predictor_columns", "predictor_elements")]


class FaultReport(ctypes.Structure):
    _fields_ = [(name, WORD) for name in ("cause", "address", "phase", "batch")]


class CounterValues(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64 * count if count > 1 else ctypes.c_uint64) for name, count in (
        ("cycles", 1), ("phase_cycles", 6), ("phase_batches", 6), ("pass_cycles", 4), ("pass_macs", 4), ("busy", 5),
        ("bytes_read", 1), ("bytes_written", 1), ("bytes_fetched", 1), ("instructions", 1))]


STRUCTS = {"adagp_device": DeviceStruct, "adagp_identity": Identity, "adagp_fault_report": FaultReport,
           "adagp_counter_values": CounterValues}


def write_sources(folder: Path) -> None:
    """The driver's files, as a user has them in one folder."""
    for name, text in files().items():
        (folder / name).write_text(text)


class Driver:
    """The driver, compiled in ``folder`` together with ``definitions`` (C text, for instance of images)."""

    def __init__(self, folder: Path, definitions: str = ""):
        write_sources(folder)
        sizes = "".join(f"const unsigned size_of_{name} = sizeof(struct {name});\n" for name in STRUCTS)
        (folder / "test.c").write_text(f'#include "adagp.h"\n{definitions}{sizes}')
        subprocess.run(["cc", "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared",
                        f"-DADAGP_STALLED_POLLS={STALLED_POLLS}u", "adagp.c", "test.c", "-o", "driver.so"],
                       cwd=folder, check=True)
        self.library = ctypes.CDLL(str(folder / "driver.so"))
        for name in ("adagp_result_name", "adagp_fault_name"):
            getattr(self.library, name).restype = ctypes.c_char_p
        for name, struct in STRUCTS.items():
            assert WORD.in_dll(self.library, f"size_of_{name}").value == ctypes.sizeof(struct), name

    def definition(self, name: str):
        """The address of a constant of ``definitions``."""
        return ctypes.byref(ctypes.c_char.in_dll(self.library, name))

    def text(self, function: str, value: int) -> str:
        return getattr(self.library, function)(value).decode()


class Device:
    """A core behind ``read(offset)`` and ``write(offset, value)``, with the driver's calls as methods:
    ``device.start(3, 0)``. What one of the functions raises ends the call that caused it."""

    def __init__(self, driver: Driver, read: Callable[[int], int], write: Callable[[int, int], None], *,
                 now: Callable[[], int] | None = None, idle: Callable[[], None] | None = None):
        self._driver, self._error = driver, None
        self._callbacks = (READ(lambda _, offset: self._guarded(read, offset)),
                           WRITE(lambda _, offset, value: self._guarded(write, offset, value)),
                           CLOCK(lambda _: self._guarded(now) & 0xFFFFFFFF) if now else CLOCK(),
                           IDLE(lambda _: self._guarded(idle)) if idle else IDLE())
        self.struct = DeviceStruct(None, *self._callbacks, None)

    def __getattr__(self, name: str):
        function = getattr(self._driver.library, f"adagp_{name}")

        def call(*arguments):
            result = function(ctypes.byref(self.struct), *arguments)
            error, self._error = self._error, None
            if error:
                raise error
            return result
        return call

    def filled(self, call: str, struct, *arguments):
        """(result, what the call wrote to its last argument)."""
        value = struct()
        result = getattr(self, call)(*arguments, ctypes.byref(value))
        return result, value

    def _guarded(self, function, *arguments):
        try:
            return function(*arguments) or 0
        except Exception as error:  # C cannot pass it on
            self._error = self._error or error
            return 0xFFFFFFFF
