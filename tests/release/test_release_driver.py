"""The driver and the test image of a release, as a C program that has nothing else."""

import re

PROGRAM = r"""
#include <stdio.h>
#include "test_image.h"

static uint32_t registers[1024];

static uint32_t get(void *context, uint32_t offset) { (void)context; return registers[offset / 4]; }

static void put(void *context, uint32_t offset, uint32_t value) { (void)context; registers[offset / 4] = value; }

int main(void)
{
    struct adagp_device device = { .read = get, .write = put };
    unsigned offset, value;
    while (scanf("%x %x", &offset, &value) == 2)
        registers[offset / 4] = value;
    enum adagp_result result = adagp_probe(&device, NULL);
    if (!result)
        result = adagp_load(&device, &test_image, &test_schedule, 0);
    if (!result)
        result = adagp_start(&device, TEST_BATCHES, 0);
    printf("%s\n", adagp_result_name(result));
    for (offset = 0; offset < 1024; offset++)
        printf("%x %x\n", offset * 4, (unsigned)registers[offset]);
    return result;
}
"""


def accesses(release, action):
    """(offset, value) by name of the register, from the bench's commands."""
    return {name: (int(offset, 16), int(value, 16)) for offset, value, name in re.findall(
        rf"^\w{{8}}_(\w{{8}})_(\w{{8}})_\w{{8}} // {action} (\S+)$", (release / "image/run.hex").read_text(), re.MULTILINE)}


def test_the_driver_sets_the_registers_that_the_bench_sets(release, tools, tmp_path):
    (tmp_path / "main.c").write_text(PROGRAM)
    result = tools(["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{release}/driver", f"-I{release}/image",
                    "-o", "main", "main.c", f"{release}/driver/adagp.c"], tmp_path)
    assert result.returncode == 0, result.stderr
    (tmp_path / "identity").write_text("".join(
        f"{offset:x} {value:x}\n" for offset, value in accesses(release, "identify").values()))
    result = tools(["sh", "-c", "./main < identity"], tmp_path)
    first, *lines = result.stdout.splitlines()
    assert result.returncode == 0, first
    found = {int(offset, 16): int(value, 16) for offset, value in map(str.split, lines)}
    written = accesses(release, "write")
    for host in ("INTERRUPT_ENABLE", "INTERRUPT_PENDING"):  # the bench waits for the interrupt, this program not
        del written[host]
    assert {name: found[offset] for name, (offset, _) in written.items()} == {
        name: value for name, (_, value) in written.items()}
