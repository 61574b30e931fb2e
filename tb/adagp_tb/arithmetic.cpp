// Feeds operand pairs to a pipelined unit with the ports clk, rst, en, a, b, o: one pair per enabled
// cycle, results in order.
#include <cmath>
#include <cstdint>
#include <cstring>

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

// The product of two bfloat16 as a float32, from double arithmetic, which holds it exactly.
static uint32_t product(uint32_t x, uint32_t w) {
    auto value = [](uint32_t bits) {
        bits <<= 16;
        if (!(bits & 0x7F800000)) bits &= 0x80000000;
        float result;
        std::memcpy(&result, &bits, 4);
        return double(result);
    };
    const double exact = value(x) * value(w);
    const uint32_t sign = (x ^ w) << 16 & 0x80000000;
    if (std::isnan(exact)) return 0x7FC00000;
    if (std::fabs(exact) < std::ldexp(1.0, -126)) return sign;
    if (std::fabs(exact) >= std::ldexp(1.0, 128)) return sign | 0x7F800000;
    const float result = float(exact);
    uint32_t bits;
    std::memcpy(&bits, &result, 4);
    return bits;
}

// Every pair of bfloat16 with x in [first, last): a = w << 16 | x, b = -0. Returns how many results
// differ from the product, and the first such pair.
EXPORT uint64_t sweep(uint32_t first, uint32_t last, uint32_t latency, uint32_t *wrong) {
    VerilatedContext context;
    Vtop top(&context);
    top.rst = 0;
    top.en = 1;
    top.b = 0x80000000;
    uint64_t mismatches = 0;
    const uint64_t begin = uint64_t(first) << 16, end = uint64_t(last) << 16;
    auto pair = [](uint64_t i) { return uint32_t(i >> 16 & 0xFFFF) | uint32_t(i << 16); };
    for (uint64_t i = begin; i < end + latency - 1; i++) {
        top.a = pair(i);
        tick(top);
        if (i < begin + latency - 1) continue;
        const uint32_t a = pair(i - latency + 1);
        if (top.o != product(a & 0xFFFF, a >> 16) && !mismatches++) *wrong = a;
    }
    top.final();
    return mismatches;
}
