// A verilated system with its clock, as a C library.

#include <cstdint>
#include <string>

#include "Vtop.h"
#include "verilated.h"

namespace {

enum State { kRunning = 0, kHalted = 1, kTrapped = 2, kBroken = 3 };

class System {
  public:
    System(int count, const char** arguments) : top_(enter(count, arguments)) {
        top_.resetn = 0;
        for (int i = 0; i < 4; i++) tick();
        top_.resetn = 1;
    }

    ~System() {
        Verilated::threadContextp(&context_);
        top_.final();
    }

    State run(uint64_t cycles) {
        Verilated::threadContextp(&context_);
        for (uint64_t i = 0; i < cycles; i++) {
            tick();
            if (top_.console_valid) console_.push_back(char(top_.console_data));
            if (top_.broken) return kBroken;
            if (top_.trap) return kTrapped;
            if (top_.halted) {
                tick();  // the memory is written to its file
                return kHalted;
            }
        }
        return kRunning;
    }

    uint64_t cycles() const { return cycles_; }
    uint32_t exit_code() const { return top_.exit_code; }
    const char* console() const { return console_.c_str(); }

  private:
    VerilatedContext* enter(int count, const char** arguments) {
        Verilated::threadContextp(&context_);
        context_.commandArgs(count, arguments);
        return &context_;
    }

    void tick() {
        top_.clk = 1;
        top_.eval();
        top_.clk = 0;
        top_.eval();
        cycles_++;
    }

    VerilatedContext context_;
    Vtop top_;
    uint64_t cycles_ = 0;
    std::string console_;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// `arguments` as of a main function, the program's name first.
EXPORT System* system_create(int count, const char** arguments) { return new System(count, arguments); }
EXPORT void system_destroy(System* s) { delete s; }
EXPORT int system_run(System* s, uint64_t cycles) { return s->run(cycles); }
EXPORT uint64_t system_cycles(const System* s) { return s->cycles(); }
EXPORT uint32_t system_exit_code(const System* s) { return s->exit_code(); }
EXPORT const char* system_console(const System* s) { return s->console(); }  // all that was written, until the next run
