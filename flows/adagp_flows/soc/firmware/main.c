/* Trains the test image of a release: RUN_BATCHES batches by polling, as many more by interrupt, during which the
 * processor uses the external memory, too. */
#include "board.h"
#include "print.h"
#include "processor.h"
#include "test_image.h"

#ifndef RUN_BATCHES
#define RUN_BATCHES (4u * TEST_BATCHES)
#endif

#define IMAGE (MEMORY + 0x10040u)  /* any multiple of 64 will do */
#define SCRATCH (MEMORY + MEMORY_BYTES - 256u)
#define TIME_LIMIT 1000000000u     /* cycles */

static volatile uint32_t events;   /* of the interrupt */

static uint32_t now(void *context)
{
    (void)context;
    return cycles();
}

static const struct adagp_device device = {.registers = REGISTERS, .now = now};

void interrupt(uint32_t pending)
{
    if (pending & ACCELERATOR_INTERRUPT)
        events |= adagp_interrupt(&device);
}

/* Ends with exit code 1, and says why, unless `result` is ADAGP_OK. */
static void check(const char *what, enum adagp_result result)
{
    struct adagp_fault_report fault;
    if (result == ADAGP_OK)
        return;
    print("error: ");
    print(what);
    print(": ");
    print(adagp_result_name(result));
    if (result == ADAGP_ERROR_FAULT && adagp_fault(&device, &fault) == ADAGP_OK) {
        print(": ");
        print(adagp_fault_name(fault.cause));
        print(" ");
        print_hex(fault.address);
        print(", in batch ");
        print_number(fault.batch);
    }
    print("\n");
    stop(1);
}

static void introduce(void)
{
    struct adagp_identity identity;
    check("probe", adagp_probe(&device, &identity));
    print("core: design ");
    print_number(identity.design);
    print(", ");
    print_number(identity.rows);
    print(" x ");
    print_number(identity.columns);
    print(", configuration ");
    print_hex(identity.configuration);
    print("; image for ");
    print_hex(test_image.configuration);
    print("\n");
}

static void copy_image(void)
{
    volatile uint32_t *memory = (volatile uint32_t *)IMAGE;
    uint32_t i;
    for (i = 0; i < test_image.bytes / 4u; i++)
        memory[i] = FLASH[i];
}

/* How many words before the programs, where parameters and their state are, differ from the image. */
static uint32_t changed_words(void)
{
    const volatile uint32_t *memory = (const volatile uint32_t *)IMAGE;
    uint32_t i, changed = 0;
    for (i = 0; i < test_image.programs[ADAGP_PHASE_WARMUP].offset / 4u; i++)
        changed += memory[i] != FLASH[i];
    return changed;
}

static void report(const char *name)
{
    struct adagp_counter_values counters;
    uint32_t i, macs = 0;
    check("counters", adagp_counters(&device, &counters));
    for (i = 0; i < ADAGP_PASS_MACS_COUNT; i++)
        macs += (uint32_t)counters.pass_macs[i];
    print(name);
    print(": warm-up ");
    print_number((uint32_t)counters.phase_batches[ADAGP_PHASE_WARMUP]);
    print(", BP ");
    print_number((uint32_t)counters.phase_batches[ADAGP_PHASE_BP]);
    print(", GP ");
    print_number((uint32_t)counters.phase_batches[ADAGP_PHASE_GP]);
    print(" batches; MACs ");
    print_number(macs);
    print("; changed words ");
    print_number(changed_words());
    print("; cycles ");
    print_number((uint32_t)counters.cycles);
    print("\n");
    check("clear counters", adagp_clear_counters(&device));
}

/* Another task of the processor: whether a word of external memory keeps a number. It is 0 afterwards. */
static void test_memory(uint32_t number)
{
    volatile uint32_t *word = (volatile uint32_t *)SCRATCH + number % 64u;
    const uint32_t pattern = number * 0x9E3779B9u;
    *word = pattern;
    if (*word != pattern) {
        print("error: memory has lost a word\n");
        stop(1);
    }
    *word = 0;
}

static void train_by_polling(void)
{
    check("start", adagp_start(&device, RUN_BATCHES, 0));
    check("wait", adagp_wait(&device, TIME_LIMIT));
    report("polling");
}

static void train_by_interrupt(void)
{
    const uint32_t begin = cycles();
    uint32_t tested = 0;
    (void)adagp_interrupt(&device); /* the run that was polled has left its event pending */
    check("enable", adagp_interrupt_enable(&device, ADAGP_EVENT_DONE | ADAGP_EVENT_FAULT));
    enable_interrupts(ACCELERATOR_INTERRUPT);
    check("start", adagp_start(&device, RUN_BATCHES, 0));
    while (!events) {
        if (cycles() - begin > TIME_LIMIT)
            check("interrupt", ADAGP_ERROR_TIMEOUT);
        test_memory(++tested);
    }
    check("run", adagp_poll(&device));
    report("interrupt");
    print("meanwhile: ");
    print_number(tested);
    print(" words of memory tested\n");
}

int main(void)
{
    introduce();
    check("load", adagp_load(&device, &test_image, &test_schedule, IMAGE)); /* before a byte is written */
    copy_image();
    train_by_polling();
    train_by_interrupt();
    return 0;
}
