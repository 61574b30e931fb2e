import pytest

from adagp.cost.energy import TABLES, Level, energy, saving, table
from adagp.cost.traffic import Traffic

TRAFFIC = Traffic(multiply_accumulates=1000, register_reads=20, register_writes=30, array=40, buffer_reads=800,
                  buffer_writes=1600, external_reads=160, external_writes=320)


def test_eyeriss_counts_in_multiply_accumulates_and_words_of_16_bits():
    spent = energy(TRAFFIC, table("eyeriss"))
    assert spent.unit == "MAC" and spent.arithmetic == 1000 and spent.absent == ()
    assert spent.levels == {Level.REGISTERS: 10 + 15, Level.ARRAY: 2 * 20, Level.BUFFER: 6 * (400 + 800),
                            Level.EXTERNAL: 200 * (80 + 160)}
    assert spent.memory == 25 + 40 + 7200 + 48000 and spent.total == spent.memory + 1000


@pytest.mark.parametrize("name, dram", (("horowitz-low", 1.3e-9), ("horowitz-high", 2.6e-9)))
def test_horowitz_knows_arithmetic_a_buffer_and_dram(name, dram):
    spent = energy(TRAFFIC, table(name))
    assert spent.unit == "J" and spent.absent == ("registers", "array")
    assert spent.arithmetic == pytest.approx(1000 * 4.6e-12)
    assert spent.levels[Level.BUFFER] == pytest.approx(300 * 10e-12)
    assert spent.levels[Level.EXTERNAL] == pytest.approx(60 * dram)
    assert spent.memory == pytest.approx(300 * 10e-12 + 60 * dram)


@pytest.mark.parametrize("size, read, write", (("8kB", 6.1, 7.9), ("64kB", 25.9, 19.6), ("108kB", 29.4, 24.2), ("1MB", 93.5, 76.2)))
def test_cacti_knows_nothing_but_the_buffer(size, read, write):
    spent = energy(TRAFFIC, table(f"cacti-{size}"))
    assert spent.absent == ("registers", "array", "external", "arithmetic") and spent.arithmetic is None
    assert spent.memory == spent.total == pytest.approx((100 * read + 200 * write) * 1e-12)
    assert spent.as_dict()["levels"] == {"registers": None, "array": None, "buffer": spent.memory, "external": None}


@pytest.mark.parametrize("name", TABLES)
def test_saving_is_told_for_what_the_table_knows(name):
    baseline, half = energy(TRAFFIC, table(name)), energy(TRAFFIC * 0.5, table(name))
    saved = saving(half, baseline)
    assert saved["memory"] == saved["total"] == pytest.approx(0.5)
    assert saved["arithmetic"] == (None if name.startswith("cacti") else pytest.approx(0.5))


def test_tables_are_never_mixed():
    with pytest.raises(ValueError, match="must be of one table, not 'eyeriss' and 'cacti-8kB'"):
        saving(energy(TRAFFIC, table("eyeriss")), energy(TRAFFIC, table("cacti-8kB")))


def test_unknown_table_is_refused():
    with pytest.raises(ValueError, match="table must be one of eyeriss, horowitz-low, .*, not 'tpu'"):
        table("tpu")
