#include "adagp.h"

/* Orders the processor's accesses to memory against those to registers. Define it for other processors. */
#ifndef ADAGP_BARRIER
#if defined(__riscv)
#define ADAGP_BARRIER() __asm__ __volatile__("fence iorw, iorw" ::: "memory")
#elif defined(__aarch64__) || (defined(__ARM_ARCH) && __ARM_ARCH >= 7)
#define ADAGP_BARRIER() __asm__ __volatile__("dsb sy" ::: "memory")
#else
#define ADAGP_BARRIER() __sync_synchronize()
#endif
#endif

#ifndef ADAGP_STALLED_POLLS
#define ADAGP_STALLED_POLLS 0x40000000u
#endif

#define FIELD(value, name) (((value) & name##_MASK) >> name##_SHIFT)
#define ADDRESS_ALIGNMENT 64u
#define KNOWN_STATUS                                                               \
    (ADAGP_STATUS_BUSY_MASK | ADAGP_STATUS_DONE_MASK | ADAGP_STATUS_FAULT_MASK | \
     ADAGP_STATUS_DRAINING_MASK | ADAGP_STATUS_PHASE_MASK)

/* The time that is left to a call. */
struct limit {
    uint32_t left, before, stalled;
};

static uint32_t get(const struct adagp_device *device, uint32_t offset)
{
    return device->read ? device->read(device->context, offset) : device->registers[offset / 4u];
}

static void set(const struct adagp_device *device, uint32_t offset, uint32_t value)
{
    if (device->write)
        device->write(device->context, offset, value);
    else
        device->registers[offset / 4u] = value;
}

/* The hardware keeps the high half from the moment the low half is read. */
static uint64_t get_counter(const struct adagp_device *device, uint32_t low, uint32_t high)
{
    const uint32_t bits = get(device, low);
    return bits | (uint64_t)get(device, high) << 32;
}

static bool usable(const struct adagp_device *device)
{
    return device && (device->read && device->write ? true : !device->read && !device->write && device->registers);
}

static struct limit begin(const struct adagp_device *device, uint32_t timeout)
{
    struct limit limit;
    limit.left = timeout;
    limit.before = device->now ? device->now(device->context) : 0u;
    limit.stalled = 0u;
    return limit;
}

/* Lets time pass; false when none is left. */
static bool pass(const struct adagp_device *device, struct limit *limit)
{
    uint32_t elapsed = 1u;
    if (!limit->left)
        return false;
    if (device->idle)
        device->idle(device->context);
    if (device->now) {
        const uint32_t now = device->now(device->context);
        elapsed = now - limit->before;
        limit->before = now;
        limit->stalled = elapsed ? 0u : limit->stalled + 1u;
        if (limit->stalled >= ADAGP_STALLED_POLLS)
            return false;
    }
    limit->left = elapsed < limit->left ? limit->left - elapsed : 0u;
    return true;
}

static enum adagp_result state(uint32_t status)
{
    if (status & ~KNOWN_STATUS)
        return ADAGP_ERROR_ABSENT;
    if (status & (ADAGP_STATUS_BUSY_MASK | ADAGP_STATUS_DRAINING_MASK))
        return ADAGP_RUNNING;
    if (status & ADAGP_STATUS_FAULT_MASK)
        return ADAGP_ERROR_FAULT;
    return status & ADAGP_STATUS_DONE_MASK ? ADAGP_OK : ADAGP_ERROR_IDLE;
}

/* ADAGP_OK where a run may be prepared and started. */
static enum adagp_result ready(const struct adagp_device *device)
{
    const enum adagp_result result = state(get(device, ADAGP_STATUS_OFFSET));
    if (result == ADAGP_RUNNING)
        return ADAGP_ERROR_BUSY;
    return result == ADAGP_ERROR_IDLE ? ADAGP_OK : result;
}

/* Whether `bytes` from `offset` on lie within `size`. */
static bool within(uint32_t offset, uint32_t bytes, uint32_t size)
{
    return offset <= size && bytes <= size - offset;
}

static bool placed(const struct adagp_image *image, uint32_t address)
{
    size_t i;
    if (!image || !image->bytes || !image->batches || address % ADDRESS_ALIGNMENT ||
        image->bytes - 1u > 0xFFFFFFFFu - address)
        return false;
    for (i = 0; i < ADAGP_PROGRAM_COUNT; i++) {
        const struct adagp_program *program = &image->programs[i];
        if ((program->offset | program->bytes) % ADDRESS_ALIGNMENT ||
            !within(program->offset, program->bytes, image->bytes))
            return false;
    }
    for (i = 0; i < ADAGP_BASE_COUNT; i++)
        if (image->bases[i].offset > image->bytes)
            return false;
    return true;
}

static uint32_t divisor(uint32_t a, uint32_t b)
{
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static uint32_t epoch_of(const struct adagp_schedule *schedule, const struct adagp_image *image)
{
    return schedule->epoch_batches ? schedule->epoch_batches : image->batches;
}

static uint32_t step_of(const struct adagp_schedule *schedule)
{
    return schedule->order_step ? schedule->order_step : 1u;
}

/* The row that goes on for ever. */
static size_t last_row(const struct adagp_schedule *schedule)
{
    size_t row = 0;
    while (row < ADAGP_SCHEDULE_COUNT - 1u && schedule->rows[row].batches)
        row++;
    return row;
}

static bool valid(const struct adagp_schedule *schedule, const struct adagp_image *image)
{
    size_t row;
    if (!schedule || epoch_of(schedule, image) > image->batches || step_of(schedule) > epoch_of(schedule, image) ||
        divisor(epoch_of(schedule, image), step_of(schedule)) != 1u)
        return false;
    for (row = 0; row <= last_row(schedule); row++)
        if (!schedule->rows[row].bp && (schedule->adaptive || !schedule->rows[row].gp))
            return false;
    return !schedule->adaptive || (schedule->least <= schedule->most && schedule->patience);
}

static void set_bases(const struct adagp_device *device, const struct adagp_image *image, uint32_t address,
                      uint32_t batch)
{
    uint32_t i;
    for (i = 0; i < ADAGP_BASE_COUNT; i++)
        set(device, ADAGP_BASE_OFFSET(i), address + image->bases[i].offset + batch * image->bases[i].batch_bytes);
}

static void set_image(const struct adagp_device *device, const struct adagp_image *image, uint32_t address)
{
    uint32_t i;
    for (i = 0; i < ADAGP_PROGRAM_COUNT; i++) {
        set(device, ADAGP_PROGRAM_ADDRESS_OFFSET(i), address + image->programs[i].offset);
        set(device, ADAGP_PROGRAM_SIZE_OFFSET(i), image->programs[i].bytes);
    }
    set_bases(device, image, address, 0u);
    set(device, ADAGP_WINDOW_FIRST_OFFSET, address);
    set(device, ADAGP_WINDOW_LAST_OFFSET, address + (image->bytes - 1u));
}

/* Strides and rewinds are modulo 2^32, as the bases are. */
static void set_order(const struct adagp_device *device, const struct adagp_image *image, uint32_t epoch, uint32_t step)
{
    uint32_t i;
    for (i = 0; i < ADAGP_BASE_COUNT; i++) {
        set(device, ADAGP_STRIDE_OFFSET(i), step * image->bases[i].batch_bytes);
        set(device, ADAGP_REWIND_OFFSET(i), (step - epoch) * image->bases[i].batch_bytes);
    }
    set(device, ADAGP_EPOCH_BATCHES_OFFSET, epoch);
    set(device, ADAGP_ORDER_STEP_OFFSET, step);
    set(device, ADAGP_ORDER_OFFSET, 0u);
}

static void set_schedule(const struct adagp_device *device, const struct adagp_schedule *schedule)
{
    const size_t last = last_row(schedule);
    uint32_t i;
    set(device, ADAGP_WARMUP_BATCHES_OFFSET, schedule->warmup_batches);
    for (i = 0; i < ADAGP_SCHEDULE_COUNT; i++) {
        const struct adagp_row *row = &schedule->rows[i];
        set(device, ADAGP_SCHEDULE_BATCHES_OFFSET(i), i < last ? row->batches : 0u);
        set(device, ADAGP_SCHEDULE_RATIO_OFFSET(i),
            i > last ? ADAGP_SCHEDULE_RATIO_RESET
                     : (uint32_t)row->gp << ADAGP_SCHEDULE_RATIO_GP_SHIFT |
                           (uint32_t)row->bp << ADAGP_SCHEDULE_RATIO_BP_SHIFT);
    }
    if (schedule->adaptive) {
        set(device, ADAGP_ADAPTIVE_BOUNDS_OFFSET,
            (uint32_t)schedule->least << ADAGP_ADAPTIVE_BOUNDS_LEAST_SHIFT |
                (uint32_t)schedule->most << ADAGP_ADAPTIVE_BOUNDS_MOST_SHIFT);
        set(device, ADAGP_ADAPTIVE_RAISE_OFFSET, schedule->raise_at);
        set(device, ADAGP_ADAPTIVE_LOWER_OFFSET, schedule->lower_at);
        set(device, ADAGP_ADAPTIVE_PATIENCE_OFFSET, schedule->patience);
    }
    set(device, ADAGP_MODE_OFFSET, schedule->adaptive ? ADAGP_MODE_ADAPTIVE_MASK : 0u);
    set(device, ADAGP_BATCH_OFFSET, 0u); /* last: it begins the schedule anew */
}

enum adagp_result adagp_probe(const struct adagp_device *device, struct adagp_identity *identity)
{
    uint32_t interface;
    if (!usable(device))
        return ADAGP_ERROR_ARGUMENT;
    if (get(device, ADAGP_ID_OFFSET) != ADAGP_ID_RESET)
        return ADAGP_ERROR_ABSENT;
    interface = get(device, ADAGP_INTERFACE_OFFSET);
    if (identity) {
        const uint32_t version = get(device, ADAGP_VERSION_OFFSET), array = get(device, ADAGP_ARRAY_OFFSET);
        const uint32_t memories = get(device, ADAGP_MEMORIES_OFFSET), predictor = get(device, ADAGP_PREDICTOR_OFFSET);
        const uint32_t predictor_log2 = FIELD(predictor, ADAGP_PREDICTOR_MEMORY_LOG2);
        identity->version_major = FIELD(version, ADAGP_VERSION_MAJOR);
        identity->version_minor = FIELD(version, ADAGP_VERSION_MINOR);
        identity->version_patch = FIELD(version, ADAGP_VERSION_PATCH);
        identity->register_map = FIELD(interface, ADAGP_INTERFACE_REGISTER_MAP);
        identity->instruction_set = FIELD(interface, ADAGP_INTERFACE_INSTRUCTION_SET);
        identity->configuration = get(device, ADAGP_CONFIGURATION_OFFSET);
        identity->design = FIELD(array, ADAGP_ARRAY_DESIGN);
        identity->rows = FIELD(array, ADAGP_ARRAY_ROWS);
        identity->columns = FIELD(array, ADAGP_ARRAY_COLUMNS);
        identity->bus_bytes = FIELD(array, ADAGP_ARRAY_BUS_BYTES);
        identity->stream_elements = (uint32_t)1u << FIELD(memories, ADAGP_MEMORIES_STREAM_LOG2);
        identity->stationary_elements = (uint32_t)1u << FIELD(memories, ADAGP_MEMORIES_STATIONARY_LOG2);
        identity->vector_words = (uint32_t)1u << FIELD(memories, ADAGP_MEMORIES_VECTOR_LOG2);
        identity->vector_lanes = FIELD(memories, ADAGP_MEMORIES_VECTOR_LANES);
        identity->predictor_rows = FIELD(predictor, ADAGP_PREDICTOR_ROWS);
        identity->predictor_columns = FIELD(predictor, ADAGP_PREDICTOR_COLUMNS);
        identity->predictor_elements = predictor_log2 ? (uint32_t)1u << predictor_log2 : 0u;
    }
    if (FIELD(interface, ADAGP_INTERFACE_REGISTER_MAP) != ADAGP_REGISTER_MAP_VERSION)
        return ADAGP_ERROR_VERSION;
    return ADAGP_OK;
}

enum adagp_result adagp_load(const struct adagp_device *device, const struct adagp_image *image,
                             const struct adagp_schedule *schedule, uint32_t address)
{
    enum adagp_result result;
    if (!usable(device) || !placed(image, address) || !valid(schedule, image))
        return ADAGP_ERROR_ARGUMENT;
    result = adagp_probe(device, NULL);
    if (result != ADAGP_OK)
        return result;
    if (FIELD(get(device, ADAGP_INTERFACE_OFFSET), ADAGP_INTERFACE_INSTRUCTION_SET) != image->instruction_set)
        return ADAGP_ERROR_VERSION;
    if (get(device, ADAGP_CONFIGURATION_OFFSET) != image->configuration)
        return ADAGP_ERROR_CONFIGURATION;
    result = ready(device);
    if (result != ADAGP_OK)
        return result;
    set_image(device, image, address);
    set_order(device, image, epoch_of(schedule, image), step_of(schedule));
    set_schedule(device, schedule);
    return ADAGP_OK;
}

enum adagp_result adagp_seek(const struct adagp_device *device, const struct adagp_image *image, uint32_t address,
                             uint32_t batch)
{
    enum adagp_result result;
    uint32_t epoch;
    if (!usable(device) || !placed(image, address) || batch >= image->batches)
        return ADAGP_ERROR_ARGUMENT;
    result = ready(device);
    if (result != ADAGP_OK)
        return result;
    epoch = get(device, ADAGP_EPOCH_BATCHES_OFFSET);
    set_bases(device, image, address, batch);
    set(device, ADAGP_ORDER_OFFSET, epoch ? batch % epoch : 0u);
    return ADAGP_OK;
}

enum adagp_result adagp_start(const struct adagp_device *device, uint32_t batches, uint32_t options)
{
    enum adagp_result result;
    uint32_t mode;
    if (!usable(device) || options & ~(ADAGP_EVALUATE | ADAGP_STAY))
        return ADAGP_ERROR_ARGUMENT;
    result = ready(device);
    if (result != ADAGP_OK)
        return result;
    mode = get(device, ADAGP_MODE_OFFSET) & ADAGP_MODE_ADAPTIVE_MASK;
    mode |= options & ADAGP_EVALUATE ? ADAGP_MODE_EVALUATE_MASK : 0u;
    mode |= options & ADAGP_STAY ? ADAGP_MODE_STAY_MASK : 0u;
    set(device, ADAGP_MODE_OFFSET, mode);
    set(device, ADAGP_BATCHES_OFFSET, batches);
    set(device, ADAGP_INTERRUPT_PENDING_OFFSET, ADAGP_EVENT_DONE | ADAGP_EVENT_FAULT);
    ADAGP_BARRIER(); /* the image is in memory before the core looks */
    set(device, ADAGP_CONTROL_OFFSET, ADAGP_CONTROL_START_MASK);
    return ADAGP_OK;
}

enum adagp_result adagp_poll(const struct adagp_device *device)
{
    enum adagp_result result;
    if (!usable(device))
        return ADAGP_ERROR_ARGUMENT;
    result = state(get(device, ADAGP_STATUS_OFFSET));
    ADAGP_BARRIER(); /* results are read from memory after this */
    return result;
}

enum adagp_result adagp_wait(const struct adagp_device *device, uint32_t timeout)
{
    struct limit limit;
    enum adagp_result result;
    if (!usable(device))
        return ADAGP_ERROR_ARGUMENT;
    limit = begin(device, timeout);
    while ((result = adagp_poll(device)) == ADAGP_RUNNING)
        if (!pass(device, &limit))
            return ADAGP_ERROR_TIMEOUT;
    return result;
}

enum adagp_result adagp_batch(const struct adagp_device *device, uint32_t *batch)
{
    if (!usable(device) || !batch)
        return ADAGP_ERROR_ARGUMENT;
    *batch = get(device, ADAGP_BATCH_OFFSET);
    return ADAGP_OK;
}

enum adagp_result adagp_write_back(const struct adagp_device *device)
{
    enum adagp_result result;
    if (!usable(device))
        return ADAGP_ERROR_ARGUMENT;
    result = state(get(device, ADAGP_STATUS_OFFSET));
    if (result == ADAGP_RUNNING)
        set(device, ADAGP_CONTROL_OFFSET, ADAGP_CONTROL_WRITE_BACK_MASK);
    return result == ADAGP_RUNNING ? ADAGP_OK : result == ADAGP_OK ? ADAGP_ERROR_IDLE : result;
}

enum adagp_result adagp_interrupt_enable(const struct adagp_device *device, uint32_t events)
{
    if (!usable(device) || events & ~(ADAGP_EVENT_DONE | ADAGP_EVENT_FAULT))
        return ADAGP_ERROR_ARGUMENT;
    set(device, ADAGP_INTERRUPT_ENABLE_OFFSET, events);
    return ADAGP_OK;
}

uint32_t adagp_interrupt(const struct adagp_device *device)
{
    uint32_t events;
    if (!usable(device))
        return 0u;
    events = get(device, ADAGP_INTERRUPT_PENDING_OFFSET);
    if (!events || events & ~(ADAGP_EVENT_DONE | ADAGP_EVENT_FAULT))
        return 0u;
    set(device, ADAGP_INTERRUPT_PENDING_OFFSET, events);
    (void)get(device, ADAGP_INTERRUPT_PENDING_OFFSET); /* the write has arrived before the handler returns */
    return events;
}

enum adagp_result adagp_fault(const struct adagp_device *device, struct adagp_fault_report *report)
{
    uint32_t status;
    enum adagp_result result;
    if (!usable(device) || !report)
        return ADAGP_ERROR_ARGUMENT;
    status = get(device, ADAGP_STATUS_OFFSET);
    result = state(status);
    if (result == ADAGP_ERROR_ABSENT)
        return result;
    /* While the bus drains the cause may still change. */
    report->cause = result == ADAGP_ERROR_FAULT ? get(device, ADAGP_FAULT_CAUSE_OFFSET) : ADAGP_FAULT_NONE;
    report->address = result == ADAGP_ERROR_FAULT ? get(device, ADAGP_FAULT_ADDRESS_OFFSET) : 0u;
    report->phase = FIELD(status, ADAGP_STATUS_PHASE);
    report->batch = get(device, ADAGP_BATCH_OFFSET);
    return ADAGP_OK;
}

enum adagp_result adagp_recover(const struct adagp_device *device, uint32_t timeout)
{
    struct limit limit;
    enum adagp_result result;
    if (!usable(device))
        return ADAGP_ERROR_ARGUMENT;
    if (get(device, ADAGP_ID_OFFSET) != ADAGP_ID_RESET)
        return ADAGP_ERROR_ABSENT;
    limit = begin(device, timeout);
    set(device, ADAGP_CONTROL_OFFSET, ADAGP_CONTROL_RESET_MASK);
    while ((result = adagp_poll(device)) != ADAGP_ERROR_IDLE) {
        if (result == ADAGP_ERROR_ABSENT)
            return result;
        if (!pass(device, &limit))
            return ADAGP_ERROR_TIMEOUT;
    }
    return ADAGP_OK;
}

enum adagp_result adagp_counters(const struct adagp_device *device, struct adagp_counter_values *counters)
{
    uint32_t i;
    if (!usable(device) || !counters)
        return ADAGP_ERROR_ARGUMENT;
    counters->cycles = get_counter(device, ADAGP_CYCLES_LO_OFFSET, ADAGP_CYCLES_HI_OFFSET);
    for (i = 0; i < ADAGP_PHASE_CYCLES_COUNT; i++)
        counters->phase_cycles[i] =
            get_counter(device, ADAGP_PHASE_CYCLES_LO_OFFSET(i), ADAGP_PHASE_CYCLES_HI_OFFSET(i));
    for (i = 0; i < ADAGP_PHASE_BATCHES_COUNT; i++)
        counters->phase_batches[i] =
            get_counter(device, ADAGP_PHASE_BATCHES_LO_OFFSET(i), ADAGP_PHASE_BATCHES_HI_OFFSET(i));
    for (i = 0; i < ADAGP_PASS_CYCLES_COUNT; i++)
        counters->pass_cycles[i] = get_counter(device, ADAGP_PASS_CYCLES_LO_OFFSET(i), ADAGP_PASS_CYCLES_HI_OFFSET(i));
    for (i = 0; i < ADAGP_PASS_MACS_COUNT; i++)
        counters->pass_macs[i] = get_counter(device, ADAGP_PASS_MACS_LO_OFFSET(i), ADAGP_PASS_MACS_HI_OFFSET(i));
    for (i = 0; i < ADAGP_BUSY_COUNT; i++)
        counters->busy[i] = get_counter(device, ADAGP_BUSY_LO_OFFSET(i), ADAGP_BUSY_HI_OFFSET(i));
    counters->bytes_read = get_counter(device, ADAGP_BYTES_READ_LO_OFFSET, ADAGP_BYTES_READ_HI_OFFSET);
    counters->bytes_written = get_counter(device, ADAGP_BYTES_WRITTEN_LO_OFFSET, ADAGP_BYTES_WRITTEN_HI_OFFSET);
    counters->bytes_fetched = get_counter(device, ADAGP_BYTES_FETCHED_LO_OFFSET, ADAGP_BYTES_FETCHED_HI_OFFSET);
    counters->instructions = get_counter(device, ADAGP_INSTRUCTIONS_LO_OFFSET, ADAGP_INSTRUCTIONS_HI_OFFSET);
    return ADAGP_OK;
}

enum adagp_result adagp_layer(const struct adagp_device *device, uint32_t layer, uint64_t *cycles, uint64_t *macs)
{
    if (!usable(device) || layer > ADAGP_LAYER_VALUE_MASK)
        return ADAGP_ERROR_ARGUMENT;
    set(device, ADAGP_LAYER_OFFSET, layer);
    if (cycles)
        *cycles = get_counter(device, ADAGP_LAYER_CYCLES_LO_OFFSET, ADAGP_LAYER_CYCLES_HI_OFFSET);
    if (macs)
        *macs = get_counter(device, ADAGP_LAYER_MACS_LO_OFFSET, ADAGP_LAYER_MACS_HI_OFFSET);
    return ADAGP_OK;
}

enum adagp_result adagp_clear_counters(const struct adagp_device *device)
{
    enum adagp_result result;
    if (!usable(device))
        return ADAGP_ERROR_ARGUMENT;
    result = ready(device);
    if (result != ADAGP_OK && result != ADAGP_ERROR_FAULT)
        return result;
    set(device, ADAGP_CONTROL_OFFSET, ADAGP_CONTROL_CLEAR_COUNTERS_MASK);
    return ADAGP_OK;
}

enum adagp_result adagp_quality(const struct adagp_device *device, uint32_t index, uint32_t *bits)
{
    if (!usable(device) || index >= ADAGP_QUALITY_COUNT || !bits)
        return ADAGP_ERROR_ARGUMENT;
    *bits = get(device, ADAGP_QUALITY_OFFSET(index));
    return ADAGP_OK;
}

const char *adagp_result_name(enum adagp_result result)
{
    switch (result) {
    case ADAGP_OK: return "done";
    case ADAGP_RUNNING: return "running";
    case ADAGP_ERROR_ARGUMENT: return "an argument breaks the rules of its call";
    case ADAGP_ERROR_ABSENT: return "no ADA-GP core answers";
    case ADAGP_ERROR_VERSION: return "the core has another version of register map or instruction set";
    case ADAGP_ERROR_CONFIGURATION: return "the image is for a core of another configuration";
    case ADAGP_ERROR_BUSY: return "the core is running";
    case ADAGP_ERROR_IDLE: return "nothing has run since the last reset";
    case ADAGP_ERROR_FAULT: return "the core has stopped with a fault";
    case ADAGP_ERROR_TIMEOUT: return "time is over";
    }
    return "unknown result";
}

const char *adagp_fault_name(uint32_t cause)
{
    switch (cause) {
    case ADAGP_FAULT_NONE: return "no fault";
    case ADAGP_FAULT_ILLEGAL_INSTRUCTION: return "illegal instruction, at its address";
    case ADAGP_FAULT_READ_ERROR: return "the bus answered a read with an error, address of the burst";
    case ADAGP_FAULT_WRITE_ERROR: return "the bus answered a write with an error, address of the burst";
    case ADAGP_FAULT_WINDOW: return "access outside the window or the predictor memory, first address of the run";
    case ADAGP_FAULT_MISALIGNED: return "address that is no multiple of its element";
    case ADAGP_FAULT_DEADLOCK: return "instructions wait for one another, address of the next one to fetch";
    case ADAGP_FAULT_OVERRUN: return "program without an end, address after its last instruction";
    case ADAGP_FAULT_TOKEN: return "too many tokens or some left over, address of the instruction";
    }
    return "unknown fault";
}
