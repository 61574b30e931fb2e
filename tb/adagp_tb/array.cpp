// Fills the memories of an array harness, feeds it instructions with stalls, and reads the vector
// memory back.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "Vtop.h"
#include "verilated.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr uint64_t kTimeout = ~uint64_t(0);
constexpr uint64_t kPatience = 2'000'000;  // cycles without a completed instruction

void tick(Vtop &top) {
    top.clk = 0;
    top.eval();
    top.clk = 1;
    top.eval();
}

template <typename Element>
void fill(Vtop &top, int select, const Element *data, uint32_t count) {
    top.host_write = 1;
    top.host_select = select;
    for (uint32_t i = 0; i < count; i++) {
        top.host_address = i;
        top.host_data = data[i];
        tick(top);
    }
    top.host_write = 0;
    tick(top);
}

void offer(Vtop &top, const uint32_t *instruction) {
    std::memcpy(&top.order, instruction, std::min(sizeof top.order, size_t(64)));
}

// A new random number of 32 bits (xorshift).
uint32_t draw(uint32_t &state) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

}  // namespace

// Returns the cycles from the first offer to the last completion, or all ones if they do not come.
EXPORT uint64_t run(const uint32_t *program, uint32_t instructions, const uint16_t *stream, const uint16_t *stationary,
                    uint32_t elements, uint32_t *vector, uint32_t values, uint32_t stall, uint32_t seed,
                    uint64_t *macs) {
    VerilatedContext context;
    Vtop top(&context);
    top.rst = 1;
    tick(top);
    top.rst = 0;
    fill(top, 0, stream, elements);
    fill(top, 1, stationary, elements);
    fill(top, 2, vector, values);
    uint64_t cycles = 0, progress = 0;
    uint32_t taken = 0, done = 0;
    while (done < instructions && cycles - progress < kPatience) {
        if (!top.order_valid && taken < instructions && draw(seed) >= stall) {
            offer(top, program + 16 * taken);
            top.order_valid = 1;
        }
        top.clk = 0;
        top.eval();
        const bool accepted = top.order_valid && top.order_ready;
        if (top.done) done++, progress = cycles;
        macs[top.tag] += top.macs;
        top.clk = 1;
        top.eval();
        cycles++;
        if (accepted) {
            taken++;
            top.order_valid = taken < instructions && draw(seed) >= stall;
            if (top.order_valid) offer(top, program + 16 * taken);
        }
    }
    const bool complete = done == instructions;
    tick(top);
    for (uint32_t i = 0; i < values + 2; i++) {
        top.host_address = i < values ? i : 0;
        tick(top);
        top.clk = 0;
        top.eval();
        if (i >= 1 && i - 1 < values) vector[i - 1] = top.host_read;
    }
    const bool idle = !top.busy && !top.done;
    top.final();
    return complete && idle ? cycles : kTimeout;
}
