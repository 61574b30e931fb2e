// Drives a top that compares two memories with random numbers, and counts the cycles in which they differ.
#include <cstdint>
#include <random>

#include "Vtop.h"
#include "verilated.h"

extern "C" __attribute__((visibility("default"))) uint64_t differences(uint64_t cycles, uint64_t *per_memory) {
    VerilatedContext context;
    Vtop top(&context);
    std::mt19937 random(1);
    uint64_t total = 0;
    for (uint64_t cycle = 0; cycle < cycles; cycle++) {
        top.clk = 0;
        for (auto &word : top.random.m_storage) word = random();
        top.eval();
        total += top.differs != 0;
        for (int i = 0; i < 64; i++) per_memory[i] += top.differs >> i & 1;
        top.clk = 1;
        top.eval();
    }
    top.final();
    return total;
}
