// SPDX-License-Identifier: GPL-3.0-or-later
// A machine with the AHCI controller: a disk at port 0, a CD at port 1, nothing elsewhere.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "devices/storage/ahci_controller.hpp"
#include "tests/support/ahci_driver.hpp"
#include "tests/support/memory_block.hpp"

namespace skep::test {

struct AhciMachine : FakeMachine {
    static constexpr uint64_t k_disk_size = 2 << 20;
    static constexpr uint64_t k_cd_size = 300 * 2048;

    enum class Content { pattern, zeros };

    explicit AhciMachine(Content content = Content::pattern) : bus(context) {
        context.pci = &bus;
        if (content == Content::pattern) {
            fill();
        }
        ahci = std::make_unique<AhciController>(context);
        ahci->attach_disk(0, disk, {"SERIAL7", "Skep Disk"});
        ahci->attach_cd(1, medium);
        ahci->reset();
    }
    void fill() {
        for (size_t i = 0; i < disk->data.size(); ++i) {
            disk->data[i] = static_cast<uint8_t>(i / 512 * 3 + i);
        }
        for (size_t i = 0; i < medium->data.size(); ++i) {
            medium->data[i] = static_cast<uint8_t>(i / 2048 + i * 5);
        }
    }
    [[nodiscard]] std::vector<std::byte> saved() const {
        StateWriter writer;
        ahci->save(writer);
        return writer.bytes();
    }
    [[nodiscard]] bool intx() { return irqs.levels[intx_gsi(0x1f, 1)]; }

    PciBus bus;
    std::shared_ptr<MemoryBlock> disk = std::make_shared<MemoryBlock>(k_disk_size);
    std::shared_ptr<MemoryBlock> medium = std::make_shared<MemoryBlock>(k_cd_size, 2048, true);
    std::unique_ptr<AhciController> ahci;
};

inline std::vector<uint8_t> slice_of(const std::vector<uint8_t>& data, size_t offset, size_t size) {
    return {data.begin() + static_cast<long>(offset), data.begin() + static_cast<long>(offset + size)};
}

}  // namespace skep::test
