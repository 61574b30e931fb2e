// A verilated accelerator with its clock, an AXI4 memory and an AXI4-Lite host, as a C library.
//
// One cycle: settle the inputs, look at every handshake, raise the clock, let the memory choose
// its outputs for the next cycle. The memory answers reads in order per id, at most one beat per
// `interval` cycles, each at least `latency` cycles after its address; a write changes the memory
// only when its response is sent. With a probability of `stall` each channel holds back a cycle.

#include <cinttypes>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#include "verilated_syms.h"
#ifdef TRACE
#include "toggles.h"
#endif

extern "C" struct Options {
    uint64_t memory_bytes, seed;
    double stall;
    uint32_t latency, interval, outstanding, interleave;
};

namespace {

constexpr uint32_t kBytes = sizeof(Vtop::m_axi_rdata);  // of a beat
constexpr int kSize = __builtin_ctz(kBytes);
constexpr int kOkay = 0, kSlaveError = 2, kDecodeError = 3;
constexpr uint64_t kNever = ~0ull;
constexpr char kRoot[] = "TOP.";  // what Verilator puts before the name of the top module

struct Address {
    uint32_t address = 0;
    uint8_t id = 0, length = 0, size = 0, burst = 0;
    bool operator!=(const Address& o) const {
        return address != o.address || id != o.id || length != o.length || size != o.size || burst != o.burst;
    }
    uint64_t beat(uint32_t index) const { return (address & ~uint64_t(kBytes - 1)) + uint64_t(index) * kBytes; }
    bool holds(uint64_t target) const { return target >= beat(0) && target < beat(length + 1u); }
};

struct Data {
    uint8_t bytes[kBytes] = {};
    uint64_t strobe = 0;
    bool last = false;
    bool operator!=(const Data& o) const {
        return strobe != o.strobe || last != o.last || memcmp(bytes, o.bytes, kBytes) != 0;
    }
};

struct ReadBurst : Address {
    uint64_t ready = 0;
    uint32_t sent = 0;
};

struct WriteBurst : Address {
    std::deque<Data> beats;
    uint64_t ready = 0;
};

// A signal of at most 64 bits that is looked at once per cycle: the cycles in which it changed.
struct Watch {
    struct Change {
        uint64_t cycle, value;
    };
    const void* data;
    size_t bytes;
    std::vector<Change> changes;

    void look(uint64_t cycle) {
        uint64_t value = 0;
        memcpy(&value, data, bytes);  // of a little-endian host, as Verilator's own signals of 32 and 64 bits
        if (changes.empty() || changes.back().value != value) changes.push_back({cycle, value});
    }
};

class Machine {
  public:
    Machine(uint8_t* memory, const Options& options, const char* trace)
        : memory_(memory), options_(options), random_(options.seed * 2 + 1), top_(enter()) {
        context_.randReset(0);
#ifdef TRACE
        context_.traceEverOn(true);
        if (trace) {
            trace_.reset(new VerilatedVcdC);
            top_.trace(trace_.get(), 99);
            trace_->open(trace);
        }
#else
        (void)trace;
#endif
        reset(4);
    }

    ~Machine() {
        enter();
        top_.final();
#ifdef TRACE
        if (trace_) trace_->close();
#endif
    }

    void reset(uint32_t cycles) {
        top_.aresetn = 0;
        reads_.clear(), addresses_.clear(), data_.clear(), responses_.clear();
        ar_waits_ = aw_waits_ = w_waits_ = read_taken_ = response_taken_ = false;
        top_.m_axi_rvalid = top_.m_axi_bvalid = top_.m_axi_arready = top_.m_axi_awready = top_.m_axi_wready = 0;
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_bready = top_.s_axil_arvalid = top_.s_axil_rready = 0;
        for (uint32_t i = 0; i < cycles; i++) {
            edge();
            if (i > 0 && (top_.m_axi_arvalid || top_.m_axi_awvalid || top_.m_axi_wvalid))
                violate("m_axi: valid in reset");
        }
        top_.aresetn = 1;
        edge();
    }

    // The response of a register write, or -1 without one within `limit` cycles.
    int write(uint32_t address, uint32_t value, uint32_t limit) {
        top_.s_axil_awaddr = address;
        top_.s_axil_wdata = value;
        top_.s_axil_wstrb = 15;
        bool sent_address = false, sent_data = false;
        for (uint32_t i = 0; i < limit; i++) {
            top_.s_axil_awvalid = !sent_address && (top_.s_axil_awvalid || !stalled());
            top_.s_axil_wvalid = !sent_data && (top_.s_axil_wvalid || !stalled());
            top_.s_axil_bready = !stalled();
            settle();
            bool address_now = top_.s_axil_awvalid && top_.s_axil_awready;
            bool data_now = top_.s_axil_wvalid && top_.s_axil_wready;
            bool done = top_.s_axil_bvalid && top_.s_axil_bready;
            int response = top_.s_axil_bresp;
            edge();
            sent_address |= address_now, sent_data |= data_now;
            if (done) {
                if (!sent_address || !sent_data) violate("s_axil: a response before its write");
                top_.s_axil_bready = 0;
                return response;
            }
        }
        top_.s_axil_awvalid = top_.s_axil_wvalid = top_.s_axil_bready = 0;
        return -1;
    }

    // Like write(); the value goes to *value.
    int read(uint32_t address, uint32_t* value, uint32_t limit) {
        top_.s_axil_araddr = address;
        bool sent = false;
        for (uint32_t i = 0; i < limit; i++) {
            top_.s_axil_arvalid = !sent && (top_.s_axil_arvalid || !stalled());
            top_.s_axil_rready = !stalled();
            settle();
            bool now = top_.s_axil_arvalid && top_.s_axil_arready;
            bool done = top_.s_axil_rvalid && top_.s_axil_rready;
            int response = top_.s_axil_rresp;
            *value = top_.s_axil_rdata;
            edge();
            sent |= now;
            if (done) {
                if (!sent) violate("s_axil: a response before its read");
                top_.s_axil_rready = 0;
                return response;
            }
        }
        top_.s_axil_arvalid = top_.s_axil_rready = 0;
        return -1;
    }

    // Whether the interrupt rose within `limit` cycles; stops at a violation too.
    bool run(uint64_t limit) {
        for (uint64_t i = 0; i < limit && !violation_[0]; i++) {
            if (top_.irq) return true;
            edge();
        }
        return top_.irq;
    }

    // Bursts that were requested (or of which write data came) and not answered to the end.
    uint32_t outstanding() const {
        return reads_.size() + addresses_.size() + responses_.size() + !data_.empty() + top_.m_axi_rvalid + top_.m_axi_bvalid;
    }

    // Paths of the signals that can be watched, a line each.
    std::string signals() {
        std::string lines;
        for (const auto& scope : *context_.scopeNameMap())
            if (const VerilatedVarNameMap* variables = scope.second->varsp())
                for (const auto& variable : *variables)
                    lines += scope.first + sizeof kRoot - 1 + ("." + std::string(variable.first) + "\n");
        return lines;
    }

    // Whether there is such a signal; it is then looked at in every cycle to come.
    bool watch(const char* scope, const char* name) {
        const VerilatedScope* where = context_.scopeFind((kRoot + std::string(scope)).c_str());
        const VerilatedVar* variable = where ? where->varFind(name) : nullptr;
        if (!variable || variable->entSize() > sizeof(uint64_t)) return false;
        watches_.push_back({variable->datap(), variable->entSize(), {}});
        return true;
    }

    // Whether the changes of all signals are counted from the next cycle on; false if they cannot be.
    bool count() {
#ifdef TRACE
        if (trace_) return false;
        toggles_.reset(new Toggles);
        trace_.reset(new VerilatedVcdC(toggles_.get()));
        top_.trace(trace_.get(), 99);
        trace_->open("");
        return true;
#else
        return false;
#endif
    }

    // What Toggles tells; nothing if changes are not counted.
    std::string toggle_names() {
#ifdef TRACE
        if (toggles_) return trace_->flush(), toggles_->names;
#endif
        return {};
    }

    std::vector<uint64_t> toggles() {
#ifdef TRACE
        if (toggles_) return trace_->flush(), toggles_->counts(cycle_);
#endif
        return {};
    }

    void unwatch() { watches_.clear(); }

    const std::vector<Watch::Change>& changes(uint32_t index) const { return watches_[index].changes; }

    uint64_t cycle_ = 0, bytes_read_ = 0, bytes_written_ = 0;
    uint64_t read_error_ = kNever, write_error_ = kNever;
    char violation_[256] = {};

  private:
    // Models register with the context of the thread when they come and go, not with their own.
    VerilatedContext* enter() {
        Verilated::threadContextp(&context_);
        return &context_;
    }

    void settle() { top_.eval(); }

    void edge() {
        settle();
        dump(2 * cycle_);
        for (Watch& watch : watches_) watch.look(cycle_);
        if (top_.aresetn) {
            check();
            sample();
        }
        top_.aclk = 1;
        top_.eval();
        dump(2 * cycle_ + 1);
        cycle_++;
        if (top_.aresetn) drive();
        top_.aclk = 0;
    }

    Address read_address() const {
        Address a;
        a.address = top_.m_axi_araddr, a.id = top_.m_axi_arid, a.length = top_.m_axi_arlen;
        a.size = top_.m_axi_arsize, a.burst = top_.m_axi_arburst;
        return a;
    }

    Address write_address() const {
        Address a;
        a.address = top_.m_axi_awaddr, a.id = top_.m_axi_awid, a.length = top_.m_axi_awlen;
        a.size = top_.m_axi_awsize, a.burst = top_.m_axi_awburst;
        return a;
    }

    Data write_data() const {
        Data d;
        memcpy(d.bytes, &top_.m_axi_wdata, kBytes);
        d.strobe = top_.m_axi_wstrb, d.last = top_.m_axi_wlast;
        return d;
    }

    // What a manager must keep: valid and payload until ready, legal bursts.
    void check() {
        if (ar_waits_ && (!top_.m_axi_arvalid || read_address() != ar_))
            violate("m_axi: AR changed before ARREADY, address %#010x", ar_.address);
        if (aw_waits_ && (!top_.m_axi_awvalid || write_address() != aw_))
            violate("m_axi: AW changed before AWREADY, address %#010x", aw_.address);
        if (w_waits_ && (!top_.m_axi_wvalid || write_data() != w_)) violate("m_axi: W changed before WREADY");
        if (top_.m_axi_arvalid && !ar_waits_) check_burst("AR", ar_ = read_address());
        if (top_.m_axi_awvalid && !aw_waits_) check_burst("AW", aw_ = write_address());
        if (top_.m_axi_wvalid && !w_waits_) w_ = write_data();
        ar_waits_ = top_.m_axi_arvalid && !top_.m_axi_arready;
        aw_waits_ = top_.m_axi_awvalid && !top_.m_axi_awready;
        w_waits_ = top_.m_axi_wvalid && !top_.m_axi_wready;
    }

    void check_burst(const char* channel, const Address& a) {
        if (a.burst != 1 || a.size != kSize)
            violate("m_axi: %s burst type %d, size %d at %#010x", channel, a.burst, a.size, a.address);
        if (a.beat(0) >> 12 != (a.beat(a.length + 1u) - 1) >> 12)
            violate("m_axi: %s burst of %d beats at %#010x crosses 4 KiB", channel, a.length + 1, a.address);
    }

    void sample() {
        if (top_.m_axi_arvalid && top_.m_axi_arready) {
            ReadBurst burst;
            static_cast<Address&>(burst) = ar_;
            burst.ready = cycle_ + options_.latency;
            reads_.push_back(burst);
        }
        if (top_.m_axi_awvalid && top_.m_axi_awready) addresses_.push_back(aw_);
        if (top_.m_axi_wvalid && top_.m_axi_wready) {
            data_.push_back(w_);
            next_write_ = cycle_ + options_.interval;
        }
        read_taken_ = top_.m_axi_rvalid && top_.m_axi_rready;
        response_taken_ = top_.m_axi_bvalid && top_.m_axi_bready;
        collect();
    }

    // Moves a write whose address and last beat are here to the responses.
    void collect() {
        if (addresses_.empty() || data_.empty()) return;
        const Address& address = addresses_.front();
        const uint32_t beats = address.length + 1u;
        for (uint32_t i = 0; i < beats && i < data_.size(); i++)
            if (data_[i].last != (i == beats - 1))
                violate("m_axi: WLAST is %d on beat %u of %u at %#010x", data_[i].last, i + 1, beats, address.address);
        if (data_.size() < beats) return;
        WriteBurst burst;
        static_cast<Address&>(burst) = address;
        burst.beats.assign(data_.begin(), data_.begin() + beats);
        burst.ready = cycle_ + options_.latency;
        data_.erase(data_.begin(), data_.begin() + beats);
        addresses_.pop_front();
        responses_.push_back(std::move(burst));
    }

    void drive() {
        if (read_taken_) top_.m_axi_rvalid = 0;
        if (response_taken_) top_.m_axi_bvalid = 0;
        read_taken_ = response_taken_ = false;
        const uint32_t limit = options_.outstanding;
        top_.m_axi_arready = reads_.size() < limit && !stalled();
        top_.m_axi_awready = addresses_.size() + responses_.size() < limit && !stalled();
        top_.m_axi_wready = data_.size() < 512 && cycle_ >= next_write_ && !stalled();
        if (!reads_.empty() && !top_.m_axi_rvalid && cycle_ >= next_read_ && !stalled()) send_read();
        if (!responses_.empty() && !top_.m_axi_bvalid && cycle_ >= responses_.front().ready && !stalled())
            send_response();
    }

    void send_read() {
        auto burst = reads_.begin();
        if (options_.interleave) {  // the oldest of an id chosen at random
            const uint8_t id = random() & 1;
            for (auto candidate = reads_.begin(); candidate != reads_.end(); ++candidate)
                if (candidate->id == id) {
                    burst = candidate;
                    break;
                }
        }
        if (cycle_ < burst->ready) return;
        const uint64_t address = burst->beat(burst->sent);
        int response = kOkay;
        if (address + kBytes > memory_end()) {
            response = kDecodeError;
            memset(&top_.m_axi_rdata, 0, kBytes);
        } else {
            memcpy(&top_.m_axi_rdata, memory_ + address, kBytes);
            if (read_error_ >= address && read_error_ < address + kBytes) response = kSlaveError;
        }
        top_.m_axi_rid = burst->id;
        top_.m_axi_rresp = response;
        top_.m_axi_rlast = burst->sent == burst->length;
        top_.m_axi_rvalid = 1;
        next_read_ = cycle_ + options_.interval;
        bytes_read_ += kBytes;
        if (burst->sent++ == burst->length) reads_.erase(burst);
    }

    void send_response() {
        const WriteBurst& burst = responses_.front();
        int response = burst.holds(write_error_) ? kSlaveError : kOkay;
        for (uint32_t i = 0; i <= burst.length && response == kOkay; i++) write_beat(burst.beat(i), burst.beats[i]);
        top_.m_axi_bid = burst.id;
        top_.m_axi_bresp = response;
        top_.m_axi_bvalid = 1;
        responses_.pop_front();
    }

    void write_beat(uint64_t address, const Data& beat) {
        for (uint32_t i = 0; i < kBytes; i++)
            if (beat.strobe >> i & 1) {
                if (address + i >= options_.memory_bytes) {
                    violate("m_axi: write to %#010" PRIx64 ", beyond the memory", address + i);
                    return;
                }
                memory_[address + i] = beat.bytes[i];
                bytes_written_++;
            }
    }

    uint64_t memory_end() const { return (options_.memory_bytes + kBytes - 1) / kBytes * kBytes; }

    bool stalled() { return options_.stall > 0 && (random() >> 8) * 0x1p-56 < options_.stall; }

    uint64_t random() {  // splitmix64
        uint64_t z = random_ += 0x9E3779B97F4A7C15ull;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ z >> 27) * 0x94D049BB133111EBull;
        return z ^ z >> 31;
    }

    void violate(const char* format, ...) __attribute__((format(printf, 2, 3))) {
        if (violation_[0]) return;  // the first one explains the rest
        int used = snprintf(violation_, sizeof violation_, "cycle %" PRIu64 ": ", cycle_);
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(violation_ + used, sizeof violation_ - used, format, arguments);
        va_end(arguments);
    }

    void dump(uint64_t time) {
#ifdef TRACE
        if (toggles_ && time % 2) return;  // what matters is the value at the end of a cycle
        if (trace_) trace_->dump(toggles_ ? cycle_ : time);
#else
        (void)time;
#endif
    }

    uint8_t* memory_;
    Options options_;
    uint64_t random_, next_read_ = 0, next_write_ = 0;
    VerilatedContext context_;
    Vtop top_;
#ifdef TRACE
    std::unique_ptr<Toggles> toggles_;  // outlives its trace
    std::unique_ptr<VerilatedVcdC> trace_;
#endif
    std::vector<Watch> watches_;
    std::deque<ReadBurst> reads_;
    std::deque<Address> addresses_;
    std::deque<Data> data_;
    std::deque<WriteBurst> responses_;
    bool ar_waits_ = false, aw_waits_ = false, w_waits_ = false, read_taken_ = false, response_taken_ = false;
    Address ar_, aw_;
    Data w_;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// `memory` holds memory_bytes rounded up to 64 and outlives the machine.
EXPORT Machine* machine_create(uint8_t* memory, const Options* options, const char* trace) {
    return new Machine(memory, *options, trace);
}
EXPORT void machine_destroy(Machine* m) { delete m; }
EXPORT void machine_reset(Machine* m, uint32_t cycles) { m->reset(cycles); }
EXPORT int machine_write(Machine* m, uint32_t address, uint32_t value, uint32_t limit) { return m->write(address, value, limit); }
EXPORT int machine_read(Machine* m, uint32_t address, uint32_t* value, uint32_t limit) { return m->read(address, value, limit); }
EXPORT bool machine_run(Machine* m, uint64_t limit) { return m->run(limit); }
EXPORT void machine_inject(Machine* m, uint64_t read_error, uint64_t write_error) {
    m->read_error_ = read_error, m->write_error_ = write_error;
}
EXPORT uint64_t machine_cycles(const Machine* m) { return m->cycle_; }
EXPORT uint64_t machine_bytes_read(const Machine* m) { return m->bytes_read_; }
EXPORT uint64_t machine_bytes_written(const Machine* m) { return m->bytes_written_; }
EXPORT uint32_t machine_outstanding(const Machine* m) { return m->outstanding(); }
EXPORT const char* machine_violation(const Machine* m) { return m->violation_; }
EXPORT bool machine_watch(Machine* m, const char* scope, const char* name) { return m->watch(scope, name); }
EXPORT void machine_unwatch(Machine* m) { m->unwatch(); }
// Both copy to `target` if there is one, and return the elements that it must hold.
EXPORT uint64_t machine_signals(Machine* m, char* target) {
    const std::string lines = m->signals();
    if (target) memcpy(target, lines.data(), lines.size());
    return lines.size();
}
EXPORT uint64_t machine_changes(const Machine* m, uint32_t index, void* target) {
    const auto& changes = m->changes(index);
    if (target) memcpy(target, changes.data(), changes.size() * sizeof changes[0]);
    return changes.size();
}
EXPORT bool machine_count(Machine* m) { return m->count(); }
// Both copy to `target` if there is one, and return the characters or numbers that it must hold.
EXPORT uint64_t machine_toggle_names(Machine* m, char* target) {
    const std::string names = m->toggle_names();
    if (target) memcpy(target, names.data(), names.size());
    return names.size();
}
EXPORT uint64_t machine_toggles(Machine* m, void* target) {
    const auto counts = m->toggles();
    if (target) memcpy(target, counts.data(), counts.size() * sizeof counts[0]);
    return counts.size();
}
