// SPDX-License-Identifier: GPL-3.0-or-later
// The log of written pages: every way of writing is noticed, once, and a copy kept by it ends up equal to the memory.
#include <array>
#include <cstring>
#include <thread>

#include "tests/support/cpu_harness.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_first = 0x20, k_pages = 0x40, k_address = k_first * k_page_size;

class WriteLogTest : public testing::Test {
  protected:
    WriteLogTest() { log().begin_write_log(pages(k_first, k_pages)); }
    WriteLog& log() { return bench.vm->write_log(); }
    std::span<std::byte> pages(uint64_t first, uint64_t count) {
        return bench.memory->ram().subspan(first * k_page_size, count * k_page_size);
    }
    uint64_t collected() {
        std::array<uint64_t, 1> words{};
        log().collect_writes(words);
        return words[0];
    }
    // mov [page], al; mov [page + 1], al
    void store(uint64_t page) {
        bench.state = bench.initial_state();
        bench.state.gpr[k_rdi] = k_address + page * k_page_size;
        bench.run({0x88, 0x07, 0x88, 0x47, 0x01});
    }
    CpuHarness bench;
};

TEST_F(WriteLogTest, everything_counts_as_written_at_first) {
    EXPECT_EQ(collected(), ~uint64_t{0});
    EXPECT_EQ(collected(), 0U);
}

TEST_F(WriteLogTest, guest_stores_are_reported_once_each_time) {
    EXPECT_EQ(collected(), ~uint64_t{0});
    store(3);
    EXPECT_EQ(collected(), 8U);
    EXPECT_EQ(collected(), 0U);
    store(3);
    store(5);
    EXPECT_EQ(collected(), 0x28U);
}

TEST_F(WriteLogTest, store_through_a_translation_known_before_the_log_began_is_reported) {
    log().end_write_log();
    bench.state.gpr[k_rdi] = k_address;
    unsigned ports = 0;
    uint64_t seen = 0;
    bench.io.on_port_write = [&](uint16_t, uint32_t) {
        if (ports++ == 0) {
            log().begin_write_log(pages(k_first, k_pages));
        }
        seen = collected();
    };
    // mov [rdi], al; out 80h, al; out 80h, al; mov [rdi], al
    bench.run({0x88, 0x07, 0xe6, 0x80, 0xe6, 0x80, 0x88, 0x07});
    EXPECT_EQ(seen, ~uint64_t{0}) << "its own write tags were still in doubt the first time";
    EXPECT_EQ(collected(), 1U);
}

TEST_F(WriteLogTest, reads_are_not_reported) {
    EXPECT_EQ(collected(), ~uint64_t{0});
    bench.state.gpr[k_rdi] = k_address;
    bench.run({0x8a, 0x07});
    EXPECT_EQ(collected(), 0U);
}

TEST_F(WriteLogTest, device_writes_are_reported) {
    EXPECT_EQ(collected(), ~uint64_t{0});
    bench.write_value<uint64_t>(k_address + 2 * k_page_size - 4, 1);
    EXPECT_EQ(collected(), 6U);
}

TEST_F(WriteLogTest, accessed_bits_of_page_tables_are_reported) {
    log().begin_write_log(pages(CpuHarness::k_tables / k_page_size, 3));
    EXPECT_EQ(collected(), 7U);
    store(0);
    EXPECT_NE(collected() & 4, 0U);
}

TEST_F(WriteLogTest, nothing_is_reported_after_its_end) {
    log().end_write_log();
    store(1);
    EXPECT_EQ(collected(), 0U);
}

// A processor writes all the time; a copy is kept of what is reported.
TEST_F(WriteLogTest, copy_kept_by_the_log_equals_the_memory_when_the_processor_stops) {
    std::span<std::byte> ram = bench.memory->ram().subspan(k_address, k_pages * k_page_size);
    std::vector<uint64_t> copy(k_pages), memory(k_pages);
    const auto value_of = [&](std::vector<uint64_t>& to, uint64_t page) {
        to[page] = std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(&ram[page * k_page_size])).load();
    };
    const auto take = [&] {
        const uint64_t written = collected();
        for (uint64_t page = 0; page < k_pages; ++page) {
            if ((written >> page & 1) != 0) {
                value_of(copy, page);
            }
        }
    };
    bench.state.gpr[k_rdi] = k_address;
    bench.state.gpr[k_rcx] = 300'000;
    // again: imul eax, eax, 21; inc eax; movzx edx, ah; and edx, 3fh; shl edx, 12; mov [rdi + rdx], rcx; dec ecx; jnz again; hlt
    bench.write(CpuHarness::k_code, {0x6b, 0xc0, 0x15, 0xff, 0xc0, 0x0f, 0xb6, 0xd4, 0x83, 0xe2, 0x3f, 0xc1, 0xe2, 0x0c,
                                     0x48, 0x89, 0x0c, 0x17, 0xff, 0xc9, 0x75, 0xea, 0xf4});
    bench.vcpu().load(bench.state);
    std::atomic<bool> running{true};
    std::thread processor([&] {
        EXPECT_EQ(bench.vcpu().run(bench.io), RunExit::halted);
        running = false;
    });
    while (running) {
        take();
    }
    processor.join();
    take();
    for (uint64_t page = 0; page < k_pages; ++page) {
        value_of(memory, page);
    }
    EXPECT_EQ(copy, memory);
}

}  // namespace
}  // namespace skep::test
