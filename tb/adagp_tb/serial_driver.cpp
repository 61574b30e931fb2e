// A verilated design with a clock and a serial line, as a C library: bytes in, bytes out.
//
// One bit lasts `divisor` cycles. What the design sends is received by a model of its own, which looks
// at the middle of each bit.

#include <cstdint>
#include <deque>

#include "Vtop.h"
#include "verilated.h"

namespace {

class Board {
public:
    explicit Board(uint32_t divisor) : divisor_(divisor), top_(&context_) {
        top_.rst = 1;
        top_.rx = 1;
        for (int i = 0; i < 4; i++) cycle();
        top_.rst = 0;
    }

    // Ten bits of `frame` from bit 0: a start bit, eight data bits, a stop bit.
    void send(uint32_t frame) {
        for (int i = 0; i < 10; i++) {
            top_.rx = frame >> i & 1;
            for (uint32_t j = 0; j < divisor_; j++) cycle();
        }
        top_.rx = 1;
    }

    // A received byte, or -1 where none comes within `cycles`.
    int receive(uint64_t cycles) {
        for (uint64_t i = 0; received_.empty() && i < cycles; i++) cycle();
        if (received_.empty()) return -1;
        const int byte = received_.front();
        received_.pop_front();
        return byte;
    }

    void idle(uint64_t cycles) {
        for (uint64_t i = 0; i < cycles; i++) cycle();
    }

    uint64_t cycle_ = 0, framing_errors_ = 0;

private:
    void cycle() {
        top_.clk = 1;
        top_.eval();
        listen();
        top_.clk = 0;
        top_.eval();
        cycle_++;
    }

    void listen() {
        if (left_ == 0) {
            if (!top_.tx) left_ = 10, timer_ = divisor_ / 2;
        } else if (--timer_ == 0) {
            timer_ = divisor_;
            bits_ = bits_ >> 1 | uint32_t(top_.tx) << 9;
            if (--left_ > 0) return;
            if ((bits_ & 1) || !(bits_ >> 9)) framing_errors_++;
            received_.push_back(bits_ >> 1 & 0xFF);
        }
    }

    uint32_t divisor_, left_ = 0, timer_ = 0, bits_ = 0;
    VerilatedContext context_;
    Vtop top_;
    std::deque<uint8_t> received_;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Board* board_create(uint32_t divisor) { return new Board(divisor); }
EXPORT void board_destroy(Board* b) { delete b; }
EXPORT void board_send(Board* b, uint32_t frame) { b->send(frame); }
EXPORT int board_receive(Board* b, uint64_t cycles) { return b->receive(cycles); }
EXPORT void board_idle(Board* b, uint64_t cycles) { b->idle(cycles); }
EXPORT uint64_t board_cycles(const Board* b) { return b->cycle_; }
EXPORT uint64_t board_framing_errors(const Board* b) { return b->framing_errors_; }
