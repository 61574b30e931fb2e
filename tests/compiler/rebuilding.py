"""Random programs, taken apart and built anew, on the checking golden machine."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from adagp.compiler.program import ProgramBuilder
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Instruction, Load, Store, Vector
from adagp_tb.random_instructions import Maker
from adagp_tb.random_programs import MEMORY_BYTES, PROGRAM_ADDRESS, random_program


def rebuilt_programs_agree(config: AcceleratorConfig, seeds: Iterable[int],
                           rebuild: Callable[[list[Instruction]], ProgramBuilder]) -> int:
    """Asserts that what ``rebuild`` makes of the bare instructions of random programs leaves the same
    bits as these, without a race; how many it was. Zones that wrap around a memory's end and base
    registers that meet are not the builder's."""
    compared = 0
    for seed in seeds:
        zones = Maker(config, np.random.default_rng(seed)).zones.values()
        if any(zone.first + zone.size + 4 * config.rows > zone.modulus for zone in zones):
            continue
        program, body = random_program(config, seed), []
        for i in program.instructions[:-1]:
            if isinstance(i, Load | Store) and not i.local:
                i = replace(i, base=0, offset=(i.offset + program.bases[i.base]) % 2**32)
            if isinstance(i, Vector):
                i = replace(i, behind=0, each=0)
            body.append(replace(i, wait=frozenset(), signal=frozenset()))
        code = rebuild(body).finish()
        machines = [GoldenMachine(config, MEMORY_BYTES, check=check) for check in (False, True)]
        for machine in machines:
            program.place(machine)
        machines[1].memory[PROGRAM_ADDRESS:PROGRAM_ADDRESS + len(code)] = np.frombuffer(code, np.uint8)
        machines[1].write("BASE[0]", 0)
        for machine in machines:
            machine.run()
        assert np.array_equal(*(machine.memory[:PROGRAM_ADDRESS] for machine in machines)), f"seed {seed}"
        assert np.array_equal(*(machine.predictor_memory for machine in machines)), f"seed {seed}"
        compared += 1
    return compared
