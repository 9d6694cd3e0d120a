// SPDX-License-Identifier: GPL-3.0-or-later
// A machine without CPUs: memory, spaces, a test clock and recording sinks for device tests.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "vmm/device/device.hpp"
#include "vmm/memory/write_log.hpp"

namespace skep::test {

class RecordingIrqs final : public IrqSink {
  public:
    void set_line(unsigned line, bool level) override {
        levels[line] = level;
        if (level) {
            ++rising[line];
        }
    }
    std::map<unsigned, bool> levels;
    std::map<unsigned, unsigned> rising;
};

class RecordingMsis final : public MsiSink {
  public:
    void deliver(MsiMessage message) override { messages.push_back(message); }
    std::vector<MsiMessage> messages;
};

class RecordingRequests final : public MachineRequests {
  public:
    struct Request {
        MachineRequest what;
        int code;
        std::string detail;
    };
    void request(MachineRequest what, int code, const std::string& detail) override {
        requests.push_back({what, code, detail});
    }
    std::vector<Request> requests;
};

// Pages that a test says are written.
class FakeWriteLog final : public WriteLog {
  public:
    void begin_write_log(std::span<std::byte> pages) override {
        logged = pages;
        written.assign((pages.size() / k_page_size + 63) / 64, 0);
    }
    void end_write_log() override { logged = {}; }
    void collect_writes(std::span<uint64_t> to) override {
        for (size_t word = 0; word < written.size(); ++word) {
            to[word] |= written[word];
            written[word] = 0;
        }
    }
    void write(uint64_t offset) { written[offset / k_page_size / 64] |= uint64_t{1} << (offset / k_page_size % 64); }
    std::span<std::byte> logged;
    std::vector<uint64_t> written;
};

struct FakeMachine {
    explicit FakeMachine(uint64_t ram_bytes = 1 << 20) : memory(std::move(*GuestMemory::create(ram_bytes))) {}

    std::unique_ptr<GuestMemory> memory;
    IoSpace ports{"port"};
    IoSpace mmio{"mmio"};
    TestClock clock;
    RecordingIrqs irqs;
    RecordingMsis msis;
    RecordingRequests requests;
    DeviceContext context{*memory, ports, mmio, clock, irqs, msis, requests, nullptr};
};

}  // namespace skep::test
