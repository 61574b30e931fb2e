"""What the driver must know of a compiled image and its schedule, as C and as JSON."""

import json
from dataclasses import asdict, dataclass

from adagp.compiler.training import Training
from adagp.spec.identity import configuration_digest
from adagp.spec.registers import field
from adagp.spec.schedule import ROWS, Phase, Row, Schedule, float32_bits


@dataclass(frozen=True, kw_only=True)
class Image:
    """``struct adagp_image`` of ``adagp.h``.

    ``bytes`` of external memory hold ``batches`` batches of samples. ``programs`` are (offset, bytes) by
    phase, (0, 0) where there is none; ``bases`` are (offset, bytes per batch). Offsets count from the first
    byte of the image, which may lie at any multiple of 64.
    """

    configuration: int
    instruction_set: int
    bytes: int
    batches: int
    programs: tuple[tuple[int, int], ...]
    bases: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, training: Training, batches: int) -> "Image":
        """The image that ``training.image`` writes for ``batches`` batches of samples."""
        addresses = training.program_addresses
        return cls(configuration=configuration_digest(training.config),
                   instruction_set=field("INTERFACE", "instruction_set").reset,
                   bytes=training.image_bytes(batches), batches=batches,
                   programs=tuple((addresses[phase], len(training.programs[phase])) if phase in addresses else (0, 0)
                                  for phase in Phase),
                   bases=tuple(zip(training.bases(batches), training.batch_bytes(), strict=True)))

    def json(self) -> str:
        """An object with the fields of the struct."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def c(self, name: str) -> str:
        """The definition of a constant ``name``, for C99."""
        return (f"const struct adagp_image {name} = {{\n"
                f"    .configuration = 0x{self.configuration:08X}u,\n"
                f"    .instruction_set = {self.instruction_set}u,\n"
                f"    .bytes = {self.bytes}u,\n"
                f"    .batches = {self.batches}u,\n"
                f"    .programs = {{{_pairs(self.programs)}}},\n"
                f"    .bases = {{{_pairs(self.bases)}}},\n}};\n")


def schedule_c(name: str, schedule: Schedule, *, epoch: int = 0, step: int = 1) -> str:
    """The definition of a constant ``struct adagp_schedule``: epochs of ``epoch`` batches (0: of all that the
    image has), visited in steps of ``step``."""
    rows = [*schedule.rows, *[Row()] * (ROWS - len(schedule.rows))]
    rows[len(schedule.rows) - 1] = Row(gp=schedule.rows[-1].gp, bp=schedule.rows[-1].bp)
    text = ", ".join(f"{{{row.batches}u, {row.gp}u, {row.bp}u}}" for row in rows)
    lines = [f".warmup_batches = {schedule.warmup}u", f".epoch_batches = {epoch}u", f".order_step = {step}u",
             f".rows = {{{text}}}"]
    if rule := schedule.adaptive:
        lines += [".adaptive = true", f".least = {rule.least}u", f".most = {rule.most}u",
                  f".raise_at = 0x{float32_bits(rule.raise_at):08X}u",
                  f".lower_at = 0x{float32_bits(rule.lower_at):08X}u", f".patience = {rule.patience}u"]
    return f"const struct adagp_schedule {name} = {{\n" + "".join(f"    {line},\n" for line in lines) + "};\n"


def _pairs(pairs: tuple[tuple[int, int], ...]) -> str:
    return ", ".join(f"{{{a}u, {b}u}}" for a, b in pairs)
