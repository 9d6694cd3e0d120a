// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/vmm/jit/lockstep/machine.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "tests/vmm/jit/lockstep/guest_image.hpp"

namespace skep::lockstep {
namespace {

constexpr size_t k_most_events = 4096;
constexpr auto k_great_patience = std::chrono::seconds(6);
constexpr uint64_t k_tables_end = k_tables_b + k_table_pages * k_page_size;

uint64_t mix(uint64_t value) {
    value = (value ^ value >> 31) * 0x9e37'79b9'7f4a'7c15;
    return value ^ value >> 29;
}

uint64_t low_bytes(uint64_t value, unsigned size) { return size >= 8 ? value : value & ((uint64_t{1} << 8 * size) - 1); }

// Numbers that arithmetic and floating point find interesting; a few different ones for all cases.
std::span<const std::byte> data_image(uint64_t seed) {
    constexpr uint64_t k_images = 61;
    static std::array<std::vector<std::byte>, k_images> images;
    std::vector<std::byte>& image = images[seed % k_images];
    if (!image.empty()) {
        return image;
    }
    image.resize(k_data_pages * k_page_size);
    uint64_t number = mix(seed % k_images + 1);
    for (size_t at = 0; at < image.size(); at += 8) {
        number = number * 0x5851'f42d'4c95'7f2d + 0x1405'7b7e'f767'814f;
        const unsigned kind = number >> 61;
        const uint64_t value = kind < 2   ? number >> 56
                               : kind < 4 ? 0x3ff0'0000'0000'0000 | number >> 12
                               : kind < 5 ? ~(number >> 58)
                                          : mix(number);
        std::memcpy(image.data() + at, &value, 8);
    }
    return image;
}

}  // namespace

// --- devices -------------------------------------------------------------------------------------------------------------
void LockstepIo::note(IoEvent::Kind kind, uint64_t address, unsigned size, uint64_t value) {
    ++m_accesses;
    if (m_events.size() < k_most_events) {
        m_events.push_back({kind, static_cast<uint8_t>(size), address, value});
    }
}
uint32_t LockstepIo::port_read(uint16_t port, unsigned size) {
    const auto value = static_cast<uint32_t>(low_bytes(mix(port + 77 * ++m_reads), size));
    note(IoEvent::Kind::port_read, port, size, value);
    return value;
}
void LockstepIo::port_write(uint16_t port, unsigned size, uint32_t value) {
    note(IoEvent::Kind::port_write, port, size, value);
    if (port == k_port_irq) {
        raised_by_port(static_cast<uint8_t>(k_vector_irq + value % (k_vector_irq_end - k_vector_irq)));
    }
}
void LockstepIo::raised_by_port(uint8_t vector) {
    m_pending.push_back(vector);
    vcpu->kick(KickReason::interrupt);
}
void LockstepIo::raise(uint8_t vector) {
    uint8_t none = 0;
    if (m_outside.compare_exchange_strong(none, vector)) {
        vcpu->kick(KickReason::interrupt);
    }
}
uint64_t LockstepIo::mmio_read(GuestAddress address, unsigned size) {
    const uint64_t value = low_bytes(mix(address + 77 * ++m_reads), size);
    note(IoEvent::Kind::mmio_read, address, size, value);
    return value;
}
void LockstepIo::mmio_write(GuestAddress address, unsigned size, uint64_t value) {
    note(IoEvent::Kind::mmio_write, address, size, low_bytes(value, size));
}
uint8_t LockstepIo::acknowledge_interrupt() {
    uint8_t vector = 0;
    if (m_pending.empty()) {
        vector = m_outside.exchange(0);
    } else {
        vector = m_pending.front();
        m_pending.erase(m_pending.begin());
    }
    note_interrupt(vector);
    return vector;
}
void LockstepIo::note_interrupt(uint8_t vector) {
    m_interrupts.push_back({m_accesses, m_remembers_memory ? memory_hash() : 0, vector});
    note(IoEvent::Kind::interrupt, 0, 1, vector);
}
uint64_t LockstepIo::memory_hash() const {
    constexpr unsigned k_lanes = 4;
    std::array<uint64_t, k_lanes> sums = {1, 2, 3, 4};
    for (size_t at = 0; at + 8 * k_lanes <= ram.size(); at += 8 * k_lanes) {
        std::array<uint64_t, k_lanes> words;
        std::memcpy(words.data(), ram.data() + at, sizeof words);
        for (unsigned lane = 0; lane < k_lanes; ++lane) {
            sums[lane] = (sums[lane] ^ words[lane]) * 0x9e37'79b9'7f4a'7c15;
            sums[lane] ^= sums[lane] >> 32;
        }
    }
    return mix(sums[0]) + mix(sums[1] + 1) + mix(sums[2] + 2) + mix(sums[3] + 3);
}
void LockstepIo::reset() {
    m_events.clear();
    m_interrupts.clear();
    m_pending.clear();
    m_outside.store(0);
    m_reads = m_accesses = 0;
    m_cr8 = 0;
}

// --- a run that does not end ---------------------------------------------------------------------------------------------
// By the processor time of the thread that runs: a host that is busy with something else makes nothing endless.
class Machine::Watchdog {
  public:
    explicit Watchdog(Vcpu& vcpu) : m_vcpu(vcpu), m_thread([this] { watch(); }) {}
    ~Watchdog() {
        {
            const std::lock_guard lock(m_mutex);
            m_stop = true;
        }
        m_wake.notify_all();
        m_thread.join();
    }
    void begin(std::chrono::nanoseconds patience) {
        const std::lock_guard lock(m_mutex);
        pthread_getcpuclockid(pthread_self(), &m_clock);
        m_end = now() + patience.count();
        m_running = true;
    }
    void end() {
        const std::lock_guard lock(m_mutex);
        m_running = false;
    }
    void look_every(std::chrono::microseconds apart) { m_apart.store(apart); }

  private:
    [[nodiscard]] int64_t now() const {
        timespec time{};
        clock_gettime(m_clock, &time);
        return time.tv_sec * 1'000'000'000 + time.tv_nsec;
    }
    void watch() {
        std::unique_lock lock(m_mutex);
        while (!m_wake.wait_for(lock, m_apart.load(), [this] { return m_stop; })) {
            if (m_running && now() >= m_end) {
                m_vcpu.kick(KickReason::leave);
            }
        }
    }
    Vcpu& m_vcpu;
    std::atomic<std::chrono::microseconds> m_apart{std::chrono::milliseconds(10)};
    std::mutex m_mutex;
    std::condition_variable m_wake;
    bool m_stop = false, m_running = false;
    clockid_t m_clock = CLOCK_MONOTONIC;
    int64_t m_end = 0;  // ns of that clock
    std::thread m_thread;
};

// --- the machine ---------------------------------------------------------------------------------------------------------
Machine::Machine(Hypervisor& hypervisor, std::unique_ptr<LockstepIo> io) : m_io(std::move(io)) {
    auto memory = GuestMemory::create(k_ram);
    if (!memory) {
        throw std::runtime_error("no guest memory");
    }
    m_memory = std::move(*memory);
    // One tick a second: RDTSC is 0 during a case, on every engine.
    auto vm = hypervisor.create_vm(*m_memory, CpuConfig{.cpu_count = 1, .tsc_hz = 1});
    if (!vm) {
        throw std::runtime_error("no virtual machine");
    }
    m_vm = std::move(*vm);
    auto vcpu = m_vm->create_vcpu(0);
    if (!vcpu) {
        throw std::runtime_error("no virtual processor");
    }
    m_vcpu = std::move(*vcpu);
    m_io->vcpu = m_vcpu.get();
    m_io->ram = m_memory->ram();
    m_watchdog = std::make_unique<Watchdog>(*m_vcpu);
}

Machine::~Machine() = default;

void Machine::write_tables(const Case& one) {
    struct Image {
        std::vector<std::byte> bytes;
        unsigned absent = ~0U;
        bool own_stack = false;
    };
    static thread_local Image cached;
    if (cached.absent != one.absent_code_page || cached.own_stack != one.own_stack || cached.bytes.empty()) {
        cached.bytes.assign(k_handlers + k_page_size, std::byte{});
        write_page_tables(cached.bytes, one.absent_code_page);
        write_descriptor_tables(cached.bytes, one.own_stack);
        write_handlers(cached.bytes);
        cached.absent = one.absent_code_page;
        cached.own_stack = one.own_stack;
    }
    restore(k_tables_a, std::span(cached.bytes).subspan(k_tables_a, k_tables_end - k_tables_a));
    restore(k_gdt, std::span(cached.bytes).subspan(k_gdt, k_handlers + k_page_size - k_gdt));
}

// Page by page, and only what differs: translations of the handlers outlive their case.
void Machine::restore(uint64_t to, std::span<const std::byte> bytes) {
    std::byte* place = m_memory->ram().data() + to;
    for (size_t at = 0; at < bytes.size(); at += k_page_size) {
        const size_t size = std::min<size_t>(k_page_size, bytes.size() - at);
        if (std::memcmp(place + at, bytes.data() + at, size) != 0) {
            std::memcpy(place + at, bytes.data() + at, size);
            m_memory->mark_host_written(place + at, size);
        }
    }
}

void Machine::write_control(const Case& one) {
    Control control{};
    control.log_next = k_supervisor_window + k_log;
    control.budget = one.budget;
    control.rounds = one.rounds;
    control.recovery = one.code_start();
    control.code_selector = one.start.segment[k_cs].selector;
    control.stack_selector = one.start.segment[k_ss].selector;
    control.cr3_a = k_tables_a;
    control.cr3_b = k_tables_b;
    std::byte* page = m_memory->ram().data() + k_control;
    std::memset(page, 0, 2 * k_page_size);
    std::memcpy(page, &control, sizeof control);
    std::memcpy(page + k_round_values, one.round_values.data(), one.round_values.size());
}

void Machine::load(const Case& one, const Assembled& code) {
    std::byte* ram = m_memory->ram().data();
    write_tables(one);
    write_control(one);
    std::memset(ram + k_ist_top - k_page_size, 0, k_page_size);
    std::memset(ram + k_stack, 0, k_stack_top - k_stack);
    std::memset(ram + k_log, 0, k_log_end - k_log);
    // 0xf4 (HLT) where nothing is: a stray jump ends soon.
    std::memset(ram + k_code, 0xf4, k_code_pages * k_page_size);
    std::memcpy(ram + k_code + one.code_offset, code.bytes.data(),
                std::min<size_t>(code.bytes.size(), k_code_pages * k_page_size - one.code_offset));
    restore(k_data, data_image(one.seed));
    m_memory->mark_host_written(ram + k_code, k_code_pages * k_page_size);
    m_io->reset();
    m_state = one.start;
    m_state.rip = one.code_start();
    m_vcpu->load(m_state);
}

void Machine::set_patience(std::chrono::microseconds patience) {
    m_patience = patience;
    m_watchdog->look_every(std::min<std::chrono::microseconds>(patience / 2, std::chrono::milliseconds(10)));
}

Ending Machine::run_patiently(const Case& one, const Assembled& code) {
    load(one, code);
    return run(k_great_patience);
}

Ending Machine::run() { return run(m_patience); }

Ending Machine::run(std::chrono::microseconds patience) {
    m_watchdog->begin(patience);
    RunExit exit = m_vcpu->run(*m_io);
    m_watchdog->end();
    m_vcpu->save(m_state);
    switch (exit) {
        case RunExit::halted: return Ending::halted;
        case RunExit::shutdown: return Ending::shutdown;
        case RunExit::failed: return Ending::failed;
        case RunExit::kicked: return Ending::endless;
    }
    return Ending::failed;
}

CpuState initial_state(bool code64, bool user) {
    CpuState state = reset_cpu_state(0);
    state.gpr = {};
    const auto data_selector = user ? k_user_data : k_kernel_data;
    for (Segment& segment : state.segment) {
        segment = {.base = 0, .limit = 0xffff'ffff, .attributes = user ? 0xc0f3U : 0xc093U, .selector = data_selector};
    }
    const unsigned code = (code64 ? 0xa09bU : 0xc09bU) | (user ? 0x60U : 0U);
    uint16_t selector = code64 ? k_kernel_code64 : k_kernel_code32;
    if (user) {
        selector = code64 ? k_user_code64 : k_user_code32;
    }
    state.segment[k_cs] = {.base = 0, .limit = 0xffff'ffff, .attributes = code, .selector = selector};
    state.tr = {.base = k_supervisor_window + k_tss, .limit = 0x67, .attributes = 0x8b, .selector = k_tss_selector};
    state.ldtr = {.base = 0, .limit = 0, .attributes = 0x1'0000, .selector = 0};
    state.gdtr = {.base = k_supervisor_window + k_gdt, .limit = 0x47};
    state.idtr = {.base = k_supervisor_window + k_idt, .limit = 0xfff};
    state.cr0 = 0x8001'0033;  // PG, WP, NE, ET, MP, PE
    state.cr3 = k_tables_a;
    state.cr4 = 0x5'0620;     // OSXSAVE, FSGSBASE, OSXMMEXCPT, OSFXSR, PAE
    state.xcr0 = 7;
    state.msr.efer = 0xd01;   // NXE, LMA, LME, SCE
    state.msr.star = uint64_t{k_user_code32 & ~3U} << 48 | uint64_t{k_kernel_code64} << 32;
    state.msr.lstar = syscall_entry();
    state.msr.sfmask = 0x4'0700;
    state.rflags = 0x202;
    state.gpr[k_rsp] = (user ? k_user_window : k_supervisor_window) + k_stack_top - 256;
    return state;
}

}  // namespace skep::lockstep
