/* Driver of the ADA-GP training accelerator: C99, no allocation, no library, 32 and 64 bits, also C++.
 *
 * A run, from reset to result:
 *
 *     struct adagp_device device = { .registers = (volatile uint32_t *)0x40000000 };
 *
 *     adagp_probe(&device, &identity);                       is it there, and which one
 *     ... copy the image's bytes to `address`, which the core reaches with m_axi ...
 *     adagp_load(&device, &image, &schedule, address);       programs, samples, schedule
 *     adagp_start(&device, batches, 0);                      returns at once
 *     adagp_wait(&device, timeout);                          or adagp_poll, or the interrupt
 *     ... read the trained parameters from the memory of the image ...
 *
 * RESULTS. Calls return ADAGP_OK (0), ADAGP_RUNNING (positive), or an error (negative). After
 * ADAGP_ERROR_ARGUMENT nothing was read or written. ADAGP_ERROR_ABSENT may come from any call that looks at
 * the core's state. No call waits without a limit; only adagp_wait and adagp_recover wait at all.
 *
 * STATES. A core is idle, running, or faulted, and each call says in which state it leaves the core. Registers
 * keep their values in all of them; only the reset pin puts these back, after which adagp_load is due again.
 *
 * MEMORY. The core reads and writes the image in external memory by itself, without looking into the
 * processor's caches. Where the memory is cached, write back the image's lines before adagp_start and discard
 * them before reading results. adagp_start and adagp_poll order the processor's accesses with ADAGP_BARRIER,
 * see adagp.c.
 *
 * THREADS. The driver has no state of its own; a struct adagp_device is only read. Calls for one core come from
 * one thread at a time (also those that only read: the high half of a counter belongs to the low half read
 * last). adagp_interrupt is the exception: it may interrupt any other call.
 *
 * BUS. A read that the bus never answers stops the processor in its load instruction, where no software helps.
 * Buses that answer for a core that is not there or hangs (all ones, all zeros) give ADAGP_ERROR_ABSENT,
 * ADAGP_ERROR_IDLE or ADAGP_ERROR_TIMEOUT. All registers are 32 bits wide and little-endian.
 */
#ifndef ADAGP_H
#define ADAGP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "adagp_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

enum adagp_result {
    ADAGP_OK = 0,
    ADAGP_RUNNING = 1,               /* a run goes on, or the bus drains after a fault */
    ADAGP_ERROR_ARGUMENT = -1,       /* an argument breaks the rules of its call */
    ADAGP_ERROR_ABSENT = -2,         /* what answers is no ADA-GP core */
    ADAGP_ERROR_VERSION = -3,        /* another register map than the driver's, or instruction set than the image's */
    ADAGP_ERROR_CONFIGURATION = -4,  /* the image was compiled for a core of another configuration */
    ADAGP_ERROR_BUSY = -5,           /* not while a run goes on */
    ADAGP_ERROR_IDLE = -6,           /* nothing runs, and nothing has since the last reset */
    ADAGP_ERROR_FAULT = -7,          /* the core has stopped: adagp_fault says why, adagp_recover is due */
    ADAGP_ERROR_TIMEOUT = -8         /* the limit is over, and the core not ready */
};

/* How to reach a core. Either `registers`, or both `read` and `write`; what is not needed is NULL.
 * The struct is the caller's and must stay while calls use it. */
struct adagp_device {
    volatile uint32_t *registers;  /* of s_axil, as the processor sees them; not cached */

    /* Accesses to the 32-bit register at byte `offset`, in the place of `registers`. */
    uint32_t (*read)(void *context, uint32_t offset);
    void (*write)(void *context, uint32_t offset, uint32_t value);

    /* A clock that counts up modulo 2^32, in any unit: the unit of time-outs. Without it they count polls. */
    uint32_t (*now)(void *context);

    /* Called between two polls, to sleep, yield, or wait for an interrupt; it must return by itself. */
    void (*idle)(void *context);

    void *context;  /* for the four functions */
};

/* What a core says of itself. Sizes are those of the hardware; what it has none of is 0. */
struct adagp_identity {
    uint32_t version_major, version_minor, version_patch;
    uint32_t register_map, instruction_set;  /* versions */
    uint32_t configuration;                  /* digest of all parameters */
    uint32_t design;                         /* ADAGP_DESIGN_... */
    uint32_t rows, columns, bus_bytes;
    uint32_t stream_elements, stationary_elements, vector_words, vector_lanes;
    uint32_t predictor_rows, predictor_columns, predictor_elements;
};

/* A program in an image: bytes from the image's first byte on, both multiples of 64. No bytes: no program. */
struct adagp_program {
    uint32_t offset, bytes;
};

/* What a base register points at: for the first batch bytes from the image's first byte on, `batch_bytes` more with
 * every batch of samples. */
struct adagp_base {
    uint32_t offset, batch_bytes;
};

/* A memory image that the compiler has made (adagp.driver.image writes this struct in C and JSON). */
struct adagp_image {
    uint32_t configuration;    /* of the core that it was compiled for */
    uint32_t instruction_set;  /* version */
    uint32_t bytes;            /* of external memory; the core touches nothing outside */
    uint32_t batches;          /* of samples that it holds */
    struct adagp_program programs[ADAGP_PROGRAM_COUNT];  /* by ADAGP_PHASE_... */
    struct adagp_base bases[ADAGP_BASE_COUNT];
};

/* `batches` batches (0: for ever, so the last row) in cycles of `gp` predicted batches, then `bp` true ones. */
struct adagp_row {
    uint32_t batches;
    uint16_t gp, bp;
};

/* Which program runs for which batch, and in which order the samples are visited. */
struct adagp_schedule {
    uint32_t warmup_batches;  /* of back-propagation before the first row */
    uint32_t epoch_batches;   /* samples are visited again after so many batches; 0: all batches of the image */
    uint32_t order_step;      /* from batch to batch within an epoch, no divisor in common with it; 0: 1 */
    struct adagp_row rows[ADAGP_SCHEDULE_COUNT];
    bool adaptive;            /* k follows the quality of predictions instead of gp: */
    uint16_t least, most;     /* bounds of k */
    uint32_t raise_at, lower_at;  /* bits of float32: quality from which on k grows, below which it shrinks */
    uint8_t patience;         /* Phases BP in a row that move k, at least 1 */
};

/* Why a core has stopped. */
struct adagp_fault_report {
    uint32_t cause;    /* ADAGP_FAULT_...; ADAGP_FAULT_NONE: it has not */
    uint32_t address;  /* as the core sees it; of what, adagp_fault_name says */
    uint32_t phase;    /* ADAGP_PHASE_... of the program */
    uint32_t batch;    /* number of the batch that was not completed */
};

/* Since the counters were cleared. */
struct adagp_counter_values {
    uint64_t cycles;                                     /* of programs */
    uint64_t phase_cycles[ADAGP_PHASE_CYCLES_COUNT];     /* by ADAGP_PHASE_... */
    uint64_t phase_batches[ADAGP_PHASE_BATCHES_COUNT];
    uint64_t pass_cycles[ADAGP_PASS_CYCLES_COUNT];       /* by ADAGP_PASS_... */
    uint64_t pass_macs[ADAGP_PASS_MACS_COUNT];           /* multiply-accumulates */
    uint64_t busy[ADAGP_BUSY_COUNT];                     /* cycles, by ADAGP_ENGINE_... */
    uint64_t bytes_read, bytes_written, bytes_fetched;   /* data, data, programs; whole beats */
    uint64_t instructions;
};

/* Options of a start. */
#define ADAGP_EVALUATE 1u  /* the evaluation program for all batches; neither parameters nor the schedule move */
#define ADAGP_STAY 2u      /* the predictor memory is neither filled before nor written back after the batches */

/* Events of the interrupt. */
#define ADAGP_EVENT_DONE ADAGP_INTERRUPT_PENDING_DONE_MASK
#define ADAGP_EVENT_FAULT ADAGP_INTERRUPT_PENDING_FAULT_MASK

/* Reads what the core is. `identity` may be NULL. The core stays as it is, in any state.
 * ADAGP_ERROR_ABSENT: the register ID is wrong, `identity` is untouched. ADAGP_ERROR_VERSION: `identity` is
 * filled, no other call may be used. */
enum adagp_result adagp_probe(const struct adagp_device *device, struct adagp_identity *identity);

/* Writes all registers of a run over `image`, which lies at `address` of the core's memory (a multiple of 64), from
 * its first batch on. The bytes themselves are the caller's business, before or after. Both structs are free again
 * when it returns. Counters, interrupts and the fill of the predictor memory stay.
 * ADAGP_ERROR_ABSENT, _VERSION, _CONFIGURATION, _BUSY, _FAULT, and _ARGUMENT for an image or a schedule that breaks
 * its rules: no register was written. */
enum adagp_result adagp_load(const struct adagp_device *device, const struct adagp_image *image,
                             const struct adagp_schedule *schedule, uint32_t address);

/* Lets the next batch read the samples of batch number `batch` of the loaded `image` at `address`; the schedule stays
 * where it is. ADAGP_ERROR_ARGUMENT for a batch that the image lacks, _BUSY and _FAULT: nothing was written. */
enum adagp_result adagp_seek(const struct adagp_device *device, const struct adagp_image *image, uint32_t address,
                             uint32_t batch);

/* Runs `batches` batches with `options` (ADAGP_EVALUATE, ADAGP_STAY) from where the last run ended; the core is
 * running when it returns. Pending interrupts of former runs are taken back.
 * ADAGP_ERROR_BUSY, _FAULT: nothing was written. */
enum adagp_result adagp_start(const struct adagp_device *device, uint32_t batches, uint32_t options);

/* ADAGP_RUNNING; ADAGP_OK: the last run is complete and all it wrote is in memory; ADAGP_ERROR_FAULT: so far it got;
 * ADAGP_ERROR_IDLE; ADAGP_ERROR_ABSENT. The core stays as it is. */
enum adagp_result adagp_poll(const struct adagp_device *device);

/* Polls until the core is no longer running, for at most `timeout` ticks of the device's clock; without a clock,
 * for at most `timeout` polls after the first. ADAGP_ERROR_TIMEOUT: the run goes on; wait again, or
 * adagp_recover. Else what adagp_poll returns. A clock that stands still for ADAGP_STALLED_POLLS polls (2^30 unless
 * defined otherwise) is a time-out too. */
enum adagp_result adagp_wait(const struct adagp_device *device, uint32_t timeout);

/* Number of the next batch (or the running one): batches since adagp_load, those of evaluation not counted. */
enum adagp_result adagp_batch(const struct adagp_device *device, uint32_t *batch);

/* Asks a running core to write the predictor memory back to the image once the running batch is over, and to go on.
 * ADAGP_ERROR_IDLE: none is running. */
enum adagp_result adagp_write_back(const struct adagp_device *device);

/* Raises irq at `events` (ADAGP_EVENT_DONE | ADAGP_EVENT_FAULT) and at no others, from now on. All are off after
 * the reset pin. Events are pending whether enabled or not, so a run that was polled has left one behind, which
 * raises irq at once: acknowledge it with adagp_interrupt before this call, or make it after the next adagp_start. */
enum adagp_result adagp_interrupt_enable(const struct adagp_device *device, uint32_t events);

/* For the interrupt handler: acknowledges what is pending and returns it, ADAGP_EVENT_...; 0: this core asked for
 * nothing. irq has fallen when it returns, unless something happened meanwhile. The core stays as it is. */
uint32_t adagp_interrupt(const struct adagp_device *device);

/* Why the core has stopped. ADAGP_OK also where it has not, with the cause ADAGP_FAULT_NONE. It stays as it is. */
enum adagp_result adagp_fault(const struct adagp_device *device, struct adagp_fault_report *report);

/* Brings a running or faulted core to idle: it ends its bursts and forgets the run, its fault and pending
 * interrupts. Registers and counters stay; batch number and bases are those of the last complete batch, so
 * adagp_start goes on with the batch that was broken off, the schedule beginning anew. What that batch had written
 * stays in memory: whoever needs the former bits writes the image again. A predictor memory keeps what it holds
 * if the next start has ADAGP_STAY; else it is filled as the last write back left it in the image. `timeout` as in
 * adagp_wait.
 * ADAGP_ERROR_TIMEOUT: the memory does not answer and the core goes on draining; only the reset pins of core and
 * memory help. */
enum adagp_result adagp_recover(const struct adagp_device *device, uint32_t timeout);

/* Reads all counters, in any state; each is one number, although it takes two reads. Those of a running core are
 * of slightly different cycles. */
enum adagp_result adagp_counters(const struct adagp_device *device, struct adagp_counter_values *counters);

/* Cycles and multiply-accumulates of the layer with this number, from 0 to 255. Either pointer may be NULL. */
enum adagp_result adagp_layer(const struct adagp_device *device, uint32_t layer, uint64_t *cycles, uint64_t *macs);

/* Sets all counters to 0. ADAGP_ERROR_BUSY: they stay. */
enum adagp_result adagp_clear_counters(const struct adagp_device *device);

/* The bits of the float32 that programs reported under `index`, from 0 to 127; 0: the quality of predictions. */
enum adagp_result adagp_quality(const struct adagp_device *device, uint32_t index, uint32_t *bits);

/* English, without a full stop; never NULL. */
const char *adagp_result_name(enum adagp_result result);
const char *adagp_fault_name(uint32_t cause);  /* and what its address is the address of */

#ifdef __cplusplus
}
#endif

#endif
