// SPDX-License-Identifier: GPL-3.0-or-later
// Every device through the same walk: identity, reset, state, every access, random accesses, bad state.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "devices/catalogue/catalogue.hpp"
#include "tests/devices/catalogue/catalogue_machine.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

class CatalogueTest : public testing::TestWithParam<size_t>, public CatalogueMachine {
  protected:
    static const CatalogueEntry& entry() { return catalogue_entries()[GetParam()]; }
    Device& device() { return CatalogueMachine::device(entry().device); }
    // A PCI function begins with its configuration space.
    static std::string first_section() { return entry().device + (entry().function ? ".pci" : ""); }
    // Where that section keeps its version: behind its mark, the length of its name and the name.
    static size_t version_offset() { return 4 + 4 + first_section().size(); }
    void SetUp() override { set_log_level(LogLevel::error); }  // thousands of guest errors are the point
    void TearDown() override { set_log_level(LogLevel::info); }
    void stir(unsigned accesses, uint64_t seed) { CatalogueMachine::stir(entry(), accesses, seed); }
};

TEST_P(CatalogueTest, name_is_unique_listed_and_opens_the_state) {
    const auto same = std::count_if(devices().begin(), devices().end(), [](Device* each) { return each->name() == entry().device; });
    EXPECT_EQ(same, 1);
    ASSERT_NE(find_device_type(entry().device), nullptr);
    const auto state = saved(device());
    StateReader reader(state);
    EXPECT_GE(reader.section(first_section(), 0x100), 1);
}

TEST_P(CatalogueTest, reset_after_use_equals_a_fresh_device) {
    stir(2000, 1);
    CatalogueMachine fresh;
    fresh.machine.clock.advance(machine.clock.now() - fresh.machine.clock.now());
    release_lines();
    for (CatalogueMachine* each : {static_cast<CatalogueMachine*>(this), &fresh}) {
        for (Device* device : each->devices()) {
            device->reset();
        }
    }
    const auto once = saved(device());
    const bool keeps_memory = entry().device == "rtc" || entry().device == "flash";  // the one has a battery, the other needs none
    if (!keeps_memory) {
        EXPECT_EQ(once, saved(fresh.device(entry().device)));
    }
    device().reset();
    EXPECT_EQ(saved(device()), once);
}

TEST_P(CatalogueTest, state_saved_loaded_and_saved_again_is_the_same) {
    stir(3000, 2);
    const auto first = saved(device());
    const auto same = reloaded(device(), first);
    ASSERT_TRUE(same) << same.error().message;
    EXPECT_EQ(*same, first);
    stir(500, 3);
    const auto again = reloaded(device(), first);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, first);
}

TEST_P(CatalogueTest, state_in_the_midst_of_work_is_the_same_in_another_machine) {
    for (uint64_t seed = 10; seed < 14; ++seed) {
        stir(700, seed);
        CatalogueMachine other;
        other.machine.clock.advance(machine.clock.now());
        pause();
        other.pause();
        const Status taken = other.take_over(*this);
        ASSERT_TRUE(taken) << taken.error().message;
        for (Device* device : devices()) {
            StateWriter here;
            device->save(here);
            StateWriter there;
            other.device(device->name()).save(there);
            ASSERT_EQ(here.bytes(), there.bytes()) << device->name();
        }
        resume();
        other.resume();
        other.stir(entry(), 50, seed);
    }
}

TEST_P(CatalogueTest, access_of_every_size_at_every_offset_answers_within_range) {
    for (const Window& window : entry().windows) {
        IoSpace& space = window.mmio ? machine.mmio : machine.ports;
        const unsigned widest = window.mmio ? 8 : 4;
        const uint64_t step = window.size > 0x1000 ? 0x33 : 1;
        for (unsigned size = 1; size <= widest; size *= 2) {
            for (uint64_t offset = 0; offset < window.size; offset += step) {
                const uint64_t address = window.start + offset;
                ASSERT_LE(space.read(address, size), all_ones(size)) << std::hex << address;
                space.write(address, size, all_ones(size));
                space.write(address, size, 0);
                ASSERT_LE(space.read(address, size), all_ones(size)) << std::hex << address;
            }
        }
    }
    for (unsigned offset = 0; entry().function && offset < 0x1000; ++offset) {
        for (const unsigned size : {1U, 2U, 4U}) {
            EXPECT_LE(bus->config_read(*entry().function, offset, size), all_ones(size));
            bus->config_write(*entry().function, offset, size, static_cast<uint32_t>(all_ones(size)));
            bus->config_write(*entry().function, offset, size, 0);
        }
    }
    EXPECT_TRUE(reloaded(device(), saved(device())));
}

TEST_P(CatalogueTest, random_accesses_leave_a_state_that_can_be_saved_and_restored) {
    stir(50'000, 4);
    const auto state = saved(device());
    const auto restored = reloaded(device(), state);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(*restored, state);
    device().reset();
    machine.clock.advance(1'000'000);
    EXPECT_LE(machine.requests.requests.size(), 1'000'000U);
}

TEST_P(CatalogueTest, truncated_state_is_refused) {
    stir(300, 5);
    const auto state = saved(device());
    const size_t step = std::max<size_t>(state.size() / 64, 1);
    for (size_t size = 0; size < state.size(); size += step) {
        EXPECT_FALSE(reloaded(device(), std::span<const std::byte>(state).first(size))) << size;
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
        [[maybe_unused]] const auto verdict = reloaded(device(), damaged);
        stir(20, round);
        machine.clock.advance(100'000);
        EXPECT_FALSE(saved(device()).empty());
    }
}

TEST_P(CatalogueTest, foreign_section_and_newer_version_are_refused_by_name) {
    auto state = saved(device());
    state[version_offset()] = std::byte{0x7f};
    const auto newer = reloaded(device(), state);
    ASSERT_FALSE(newer);
    EXPECT_TRUE(newer.error().message.starts_with("The saved state cannot be used: " + first_section() +
                                                  ": version 127 is not known here"))
        << newer.error().message;
    StateWriter writer;
    writer.section("something-else", 1);
    const auto foreign = reloaded(device(), writer.bytes());
    ASSERT_FALSE(foreign);
    EXPECT_NE(foreign.error().message.find(entry().device), std::string::npos) << foreign.error().message;
}

INSTANTIATE_TEST_SUITE_P(Devices, CatalogueTest, testing::Range<size_t>(0, catalogue_entries().size()),
                         [](const testing::TestParamInfo<size_t>& info) {
                             std::string name = catalogue_entries()[info.param].device;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

TEST(Catalogue, suite_walks_every_device_of_the_machine) {
    const CatalogueMachine machine;
    std::multiset<std::string> names;
    for (Device* device : machine.devices()) {
        names.insert(device->name());
    }
    std::multiset<std::string> listed;
    for (const CatalogueEntry& entry : catalogue_entries()) {
        listed.insert(entry.device);
    }
    EXPECT_EQ(names, listed);
}

TEST(Catalogue, every_type_is_walked_at_least_once) {
    std::set<std::string_view> walked;
    for (const CatalogueEntry& entry : catalogue_entries()) {
        if (const DeviceType* type = find_device_type(entry.device)) {
            walked.insert(type->id);
        }
    }
    for (const DeviceType& type : device_types()) {
        EXPECT_TRUE(walked.contains(type.id)) << type.id;
    }
    EXPECT_EQ(walked.size(), device_types().size());
}

TEST(Catalogue, every_option_is_a_setting_with_help) {
    for (const DeviceType& type : device_types()) {
        const auto words = type.options.empty() ? 0 : std::count(type.options.begin(), type.options.end(), ' ') + 1;
        EXPECT_EQ(device_options(type).size(), static_cast<size_t>(words)) << type.id << ": " << type.options;
        EXPECT_FALSE(type.title.empty() || type.document.empty() || type.where.empty()) << type.id;
        EXPECT_TRUE(type.presence == DevicePresence::always || words > 0) << type.id << ": which setting brings it?";
    }
    EXPECT_EQ(find_device_type("serial0")->id, "serial");
    EXPECT_EQ(find_device_type("virtio-blk-root")->id, "virtio-blk");
    EXPECT_EQ(find_device_type("serialx"), nullptr);
    EXPECT_EQ(find_device_type(""), nullptr);
}

}  // namespace
}  // namespace skep::test
