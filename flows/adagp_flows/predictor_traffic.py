"""What a program reads of the predictor from external memory."""

from adagp.compiler import Training
from adagp.compiler.tensors import Base
from adagp.golden.transfer import transferred_bytes
from adagp.spec.isa import INSTRUCTION_BYTES, Load, decode
from adagp.spec.schedule import Phase


def predictor_bytes(training: Training, phase: Phase) -> int:
    """Bytes that one program of ``phase`` loads from where external memory holds the predictor's
    parameters and state: their copies in designs with a predictor memory."""
    places = [training.tensors[name] for name in training.resident]
    program, total = training.programs[phase], 0
    for start in range(0, len(program), INSTRUCTION_BYTES):
        match decode(program[start:start + INSTRUCTION_BYTES]):
            case Load(local=0, base=Base.STATE) as load if any(
                    place.offset <= load.offset < place.offset + place.bytes for place in places):
                total += transferred_bytes(load)
    return total
