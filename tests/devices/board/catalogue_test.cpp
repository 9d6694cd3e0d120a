// SPDX-License-Identifier: GPL-3.0-or-later
// Every device of the board, through the same walk: reset, state, every access, random accesses, bad state.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "devices/board/acpi_pm.hpp"
#include "tests/devices/board/board_fixture.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

struct Window {
    bool mmio;
    uint64_t start;
    uint64_t size;
};

struct Entry {
    std::string device;
    std::vector<Window> windows;
};

constexpr uint16_t k_pm_base = 0x600;

const std::vector<Entry>& catalogue() {
    static const std::vector<Entry> entries{
        {"lapic0", {}},
        {"lapic1", {}},
        {"pic", {{false, 0x20, 2}, {false, 0xa0, 2}, {false, 0x4d0, 2}}},
        {"ioapic", {{true, 0xfec00000, 0x1000}}},
        {"irq-router", {}},
        {"pit", {{false, 0x40, 4}, {false, 0x61, 1}}},
        {"rtc", {{false, 0x70, 2}}},
        {"hpet", {{true, 0xfed00000, 0x400}}},
        {"acpi-pm", {{false, k_pm_base, 128}, {false, 0xb2, 2}}},
        {"i8042", {{false, 0x60, 1}, {false, 0x64, 1}}},
        {"port92", {{false, 0x92, 1}, {false, 0xcf9, 1}}},
        {"dma", {{false, 0x00, 16}, {false, 0x80, 16}, {false, 0xc0, 32}}},
        {"debug-console", {{false, 0x402, 1}}},
        {"debug-exit", {{false, 0xf4, 4}}},
        {"serial0", {{false, 0x3f8, 8}}},
        {"serial1", {{false, 0x2f8, 8}}},
        {"serial2", {{false, 0x3e8, 8}}},
        {"serial3", {{false, 0x2e8, 8}}},
    };
    return entries;
}

class CatalogueTest : public testing::TestWithParam<size_t>, public BoardFixture {
  protected:
    CatalogueTest() { board.set_pm_base(k_pm_base, true); }
    const Entry& entry() { return catalogue()[GetParam()]; }
    Device& device() {
        for (Device* candidate : board.devices()) {
            if (candidate->name() == entry().device) {
                return *candidate;
            }
        }
        throw std::logic_error("no device " + entry().device);
    }
    static std::vector<std::byte> saved(const Device& device) {
        StateWriter writer;
        device.save(writer);
        return writer.bytes();
    }
    // One access of the device by any of its ways in: its windows, its registers as a processor sees them, its wires.
    void access(std::mt19937_64& random) {
        const uint64_t value = random();
        const unsigned size = 1U << (random() % 4);
        if (entry().windows.empty()) {
            access_inside(random, value);
            return;
        }
        const Window& window = entry().windows[random() % entry().windows.size()];
        const uint64_t address = window.start + random() % window.size;
        IoSpace& space = window.mmio ? machine.mmio : machine.ports;
        const unsigned width = window.mmio ? size : std::min(size, 4U);
        if ((random() & 1) != 0) {
            space.write(address, width, value & all_ones(width));
        } else {
            EXPECT_LE(space.read(address, width), all_ones(width));
        }
    }
    void access_inside(std::mt19937_64& random, uint64_t value) {
        const unsigned cpu = entry().device == "lapic1" ? 1 : 0;
        const auto offset = static_cast<uint32_t>(random() % 0x100) * 16;
        switch (random() % 8) {
            case 0:
                board.gsi().set_line(value % 70, (value & 0x100) != 0);
                break;
            case 1:
                board.set_pirq_route(value % 10, (value >> 8) % 20);
                break;
            case 2:
                apic(cpu).window_read(offset);
                break;
            case 3:
                apic(cpu).window_write(offset, static_cast<uint32_t>(value));
                break;
            case 4:
                apic(cpu).write_msr(0x800 + offset / 16, value & 0xffff);
                break;
            case 5:
                apic(cpu).read_msr(0x800 + offset / 16);
                break;
            case 6:
                board.msi().deliver({0xfee00000 | (value & 0xff00c), static_cast<uint32_t>(value >> 20)});
                break;
            default:
                if (apic(cpu).interrupt_pending()) {
                    apic(cpu).acknowledge_interrupt();
                }
                // Every mode of the base register, mostly the usual one.
                apic(cpu).write_msr(0x1b, 0xfee00000 | ((random() % 8 == 0 ? random() : 2U) % 4) << 10);
        }
    }
    void stir(unsigned accesses, uint64_t seed) {
        std::mt19937_64 random(seed);
        for (unsigned index = 0; index < accesses; ++index) {
            access(random);
            if (index % 16 == 0) {
                machine.clock.advance(random() % 50'000);
            }
        }
    }
};

TEST_P(CatalogueTest, name_is_unique_and_opens_the_state) {
    unsigned count = 0;
    for (Device* candidate : board.devices()) {
        count += candidate->name() == entry().device ? 1 : 0;
    }
    EXPECT_EQ(count, 1U);
    const auto state = saved(device());
    StateReader reader(state);
    EXPECT_EQ(reader.section(entry().device, 1), 1);
}

TEST_P(CatalogueTest, reset_after_use_is_idempotent) {
    stir(2000, 1);
    device().reset();
    const auto once = saved(device());
    device().reset();
    EXPECT_EQ(saved(device()), once);
}

TEST_P(CatalogueTest, state_saved_loaded_and_saved_again_is_the_same) {
    stir(3000, 2);
    const auto first = saved(device());
    stir(500, 3);
    StateReader reader(first);
    device().load(reader);
    EXPECT_TRUE(reader.ok()) << reader.status().error().message;
    EXPECT_TRUE(reader.at_end());
    EXPECT_EQ(saved(device()), first);
}

TEST_P(CatalogueTest, access_of_every_size_at_every_offset_answers_within_range) {
    for (const Window& window : entry().windows) {
        IoSpace& space = window.mmio ? machine.mmio : machine.ports;
        const unsigned widest = window.mmio ? 8 : 4;
        for (unsigned size = 1; size <= widest; size *= 2) {
            for (uint64_t offset = 0; offset < window.size; ++offset) {
                const uint64_t address = window.start + offset;
                ASSERT_LE(space.read(address, size), all_ones(size)) << std::hex << address;
                space.write(address, size, all_ones(size));
                space.write(address, size, 0);
                ASSERT_LE(space.read(address, size), all_ones(size)) << std::hex << address;
            }
        }
    }
    const auto state = saved(device());
    StateReader reader(state);
    device().load(reader);
    EXPECT_TRUE(reader.ok());
}

TEST_P(CatalogueTest, random_accesses_leave_a_state_that_can_be_saved_and_restored) {
    stir(100'000, 4);
    const auto state = saved(device());
    StateReader reader(state);
    device().load(reader);
    EXPECT_TRUE(reader.ok() && reader.at_end());
    EXPECT_EQ(saved(device()), state);
    device().reset();
    machine.clock.advance(1'000'000);
    EXPECT_LE(machine.requests.requests.size(), 1'000'000U);
}

TEST_P(CatalogueTest, truncated_state_is_refused) {
    stir(300, 5);
    const auto state = saved(device());
    const size_t step = std::max<size_t>(state.size() / 64, 1);
    for (size_t size = 0; size < state.size(); size += step) {
        StateReader reader{std::span<const std::byte>(state).first(size)};
        device().load(reader);
        EXPECT_FALSE(reader.ok()) << size;
    }
    device().reset();
    stir(300, 6);
}

TEST_P(CatalogueTest, corrupted_state_is_refused_or_harmless) {
    stir(300, 7);
    const auto state = saved(device());
    std::mt19937_64 random(8);
    for (unsigned round = 0; round < 200; ++round) {
        auto damaged = state;
        for (unsigned hit = 0; hit <= random() % 8; ++hit) {
            damaged[random() % damaged.size()] = static_cast<std::byte>(random());
        }
        StateReader reader(damaged);
        device().load(reader);
        stir(20, round);
        machine.clock.advance(100'000);
        StateWriter writer;
        device().save(writer);
        EXPECT_FALSE(writer.bytes().empty());
    }
}

TEST_P(CatalogueTest, foreign_section_and_newer_version_are_refused) {
    auto state = saved(device());
    const size_t version_at = 4 + 4 + entry().device.size();
    state[version_at] = std::byte{0x7f};
    StateReader newer(state);
    device().load(newer);
    EXPECT_FALSE(newer.ok());
    StateWriter writer;
    writer.section("something-else", 1);
    StateReader foreign(writer.bytes());
    device().load(foreign);
    EXPECT_FALSE(foreign.ok());
}

INSTANTIATE_TEST_SUITE_P(Board, CatalogueTest, testing::Range<size_t>(0, catalogue().size()),
                         [](const testing::TestParamInfo<size_t>& info) {
                             std::string name = catalogue()[info.param].device;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

TEST(BoardTest, catalogue_lists_every_device_of_the_board) {
    BoardFixture fixture;
    std::vector<std::string> names;
    for (Device* device : fixture.board.devices()) {
        names.push_back(device->name());
    }
    std::vector<std::string> listed;
    for (const Entry& entry : catalogue()) {
        listed.push_back(entry.device);
    }
    std::sort(names.begin(), names.end());
    std::sort(listed.begin(), listed.end());
    EXPECT_EQ(names, listed);
}

}  // namespace
}  // namespace skep::test
