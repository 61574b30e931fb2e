// Feeds operand pairs to a pipelined unit with the ports clk, rst, en, a, b, o: one pair per enabled
// cycle, results in order.
#include <cstdint>

#include "Vtop.h"
#include "verilated.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

void tick(Vtop &top) {
    top.clk = 0;
    top.eval();
    top.clk = 1;
    top.eval();
}

}  // namespace

// With stall n, every n-th cycle holds the pipeline with garbage at its inputs; 0 never does.
EXPORT void run(const uint32_t *a, const uint32_t *b, uint32_t *o, uint64_t count, uint32_t latency,
                uint32_t stall) {
    VerilatedContext context;
    Vtop top(&context);
    top.rst = 0;
    uint64_t cycle = 0;
    for (uint64_t i = 0; i < count + latency;) {
        top.en = !stall || ++cycle % stall;
        const uint64_t at = i < count ? i : 0;
        top.a = top.en ? a[at] : ~a[at];
        top.b = top.en ? b[at] : b[at] + 1;
        tick(top);
        if (!top.en) continue;
        if (++i > latency - 1 && i - latency < count) o[i - latency] = top.o;
    }
    top.final();
}
