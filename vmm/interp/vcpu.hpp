// SPDX-License-Identifier: GPL-3.0-or-later
// One interpreted processor: its Core, its decoded code, and the loop that runs them.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "vmm/cpu/vcpu.hpp"
#include "vmm/interp/blocks.hpp"
#include "vmm/interp/core.hpp"
#include "vmm/interp/low_memory.hpp"
#include "vmm/interp/translator.hpp"

namespace skep::interp {

class InterpVm;

// The architectural state in and out of a Core, and what follows from it (mode, TLB).
void load_state(Core& core, const CpuState& state);
void store_state(const Core& core, CpuState& state);

class InterpVcpu final : public Vcpu {
  public:
    InterpVcpu(InterpVm& vm, unsigned index, const TranslatorFactory& make_translator = {});
    ~InterpVcpu() override;
    InterpVcpu(const InterpVcpu&) = delete;
    InterpVcpu& operator=(const InterpVcpu&) = delete;

    RunExit run(CpuIo& io) override;
    void kick(KickReason reason) override;
    void inject_nmi() override;
    void save(CpuState& state) override;
    void load(const CpuState& state) override;
    [[nodiscard]] std::string last_error() const override { return m_error; }
    // Translated code does not count what it runs.
    [[nodiscard]] uint64_t instructions() const override {
        return m_translator ? 0 : m_instructions.load(std::memory_order_relaxed);
    }

    [[nodiscard]] unsigned index() const { return m_index; }
    [[nodiscard]] Core& core() { return *m_core; }

    // --- any thread ----------------------------------------------------------------------------------------------------
    void request(uint32_t bits) { m_core->requests.fetch_or(bits); }
    // Asks this vCPU to give up its write tags of a page; the ticket is answered when that is done, at once for a vCPU
    // that is not running (it looks before it runs).
    uint64_t ask_to_protect(const std::byte* host_page, uint64_t size = k_page_size);
    [[nodiscard]] bool has_answered(uint64_t ticket) const;
    // The page's decoded code is out of date.
    void ask_to_drop(const std::byte* host_page);

    // --- own thread ----------------------------------------------------------------------------------------------------
    void protect_page(const std::byte* host_page, uint64_t size = k_page_size);
    void drop_page(const std::byte* host_page);
    // Does what others asked for.
    void answer();
    // Between instructions: delivers what is due. True when the processor then runs on at Core::rip as usual; false: it is
    // the run loop's turn.
    [[nodiscard]] bool goes_on();
    [[nodiscard]] BlockCache& blocks() { return m_blocks; }

  private:
    enum class Wish : uint8_t { protect, drop };
    struct Letter {
        Wish wish;
        const std::byte* host_page;
        uint64_t size;
    };
    // An instruction across two pages (or beyond a segment limit): decoded from these very bytes.
    struct Straddler {
        uint32_t key = 0;
        unsigned length = 0;
        std::array<std::byte, 15> bytes{};
        std::array<Op, 2> ops{};
    };

    bool serve_requests();
    void clear_code();
    void run_blocks();
    void run_one();
    [[nodiscard]] bool due() const;
    void enter(const Op* ops, unsigned op_count);
    void run_next_block();

    // Where execution goes on at Core::rip. No ops: leave_with_fault() was called; other faults of the fetch are thrown.
    struct Entry {
        const Op* ops;
        unsigned op_count;
    };
    Entry find_code(uint32_t extra_key);
    Block* decode_at(const std::byte* host, uint64_t available, uint32_t key);
    Entry fetch_slowly(uint32_t key, uint64_t linear, uint64_t limit_room);
    uint64_t fetch_room(uint64_t& linear);
    [[nodiscard]] AccessRule fetch_rule() const;

    InterpVm& m_vm;
    unsigned m_index;
    LowPointer<Core> m_core;
    std::unique_ptr<Translator> m_translator;  // may be null
    BlockCache m_blocks;
    std::unordered_map<uint64_t, Straddler> m_straddlers;
    std::string m_error;
    std::atomic<uint64_t> m_instructions{0};
    std::atomic<bool> m_running{false};
    std::atomic<uint64_t> m_asked{0}, m_answered{0};
    std::mutex m_letters_mutex;
    std::vector<Letter> m_letters;
};

}  // namespace skep::interp
