// Switching activity of a verilated model, counted while it runs.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <unordered_map>
#include <vector>

#include "verilated_vcd_c.h"

// Takes a VCD in place of a file: for every bit in it, how often it changed and for how long it was one.
class Toggles final : public VerilatedVcdFile {
  public:
    bool open(const std::string&) override { return true; }
    void close() override {}

    ssize_t write(const char* text, ssize_t length) override {
        for (ssize_t i = 0; i < length; i++) {
            if (text[i] != '\n') {
                line_.push_back(text[i]);
            } else {
                header_ ? declare() : change();
                line_.clear();
            }
        }
        return length;
    }

    // Changes and time as one of each bit until before `time`; the bits of a signal from the lowest one up.
    std::vector<uint64_t> counts(uint64_t time) const {
        std::vector<uint64_t> counts;
        for (const State& state : states_) {
            counts.push_back(state.changes);
            counts.push_back(state.ones + (state.value == '1' ? time - state.since : 0));
        }
        return counts;
    }

    // A line for each signal: its path from the top module on, its lowest bit in counts(), its width.
    std::string names;

  private:
    struct State {
        char value;  // '0' or '1', or something else before the first value
        uint64_t since, changes, ones;
    };
    struct Signal {
        uint32_t first, width;
    };

    void declare() {
        char name[1024], code[16];
        unsigned width;
        if (sscanf(line_.c_str(), " $scope %*s %1023s", name) == 1) {
            scopes_.push_back(name);
        } else if (line_.find("$upscope") != std::string::npos) {
            scopes_.pop_back();
        } else if (line_.find("$enddefinitions") != std::string::npos) {
            header_ = false;
        } else if (sscanf(line_.c_str(), " $var %*s %u %15s %1023s", &width, code, name) == 3) {
            const auto [signal, fresh] = signals_.insert({number(code), {uint32_t(states_.size()), width}});
            if (fresh) states_.resize(states_.size() + width, {});
            for (size_t i = 1; i < scopes_.size(); i++) names += scopes_[i] + ".";  // not what is around the top module
            names += name + (" " + std::to_string(signal->second.first)) + " " + std::to_string(width) + "\n";
        }
    }

    void change() {
        if (line_[0] == '#') {
            time_ = strtoull(line_.c_str() + 1, nullptr, 10);
        } else if (line_[0] == 'b') {
            const size_t end = line_.find(' ');
            const Signal& signal = signals_.at(number(line_.c_str() + end + 1));
            for (uint32_t i = 0; i < signal.width; i++) set(signal.first + i, line_[end - 1 - i]);
        } else if (line_[0] == '0' || line_[0] == '1') {
            set(signals_.at(number(line_.c_str() + 1)).first, line_[0]);
        }
    }

    void set(uint32_t bit, char value) {
        State& state = states_[bit];
        if (state.value == value) return;
        if (state.value == '1') state.ones += time_ - state.since;
        state.changes += state.value == '0' || state.value == '1';
        state.value = value;
        state.since = time_;
    }

    static uint64_t number(const char* code) {
        uint64_t number = 0;
        for (; *code; code++) number = number << 7 | *code;
        return number;
    }

    bool header_ = true;
    std::string line_;
    uint64_t time_ = 0;
    std::vector<std::string> scopes_;
    std::vector<State> states_;
    std::unordered_map<uint64_t, Signal> signals_;
};
