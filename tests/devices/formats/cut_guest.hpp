// SPDX-License-Identifier: GPL-3.0-or-later
// A guest that writes, discards and flushes, and knows what each sector may hold when it is stopped at any moment.
#pragma once

#include "devices/formats/qcow2.hpp"
#include "tests/devices/formats/formats_fixture.hpp"
#include "tests/support/recording_engine.hpp"

namespace skep::test {

inline constexpr uint64_t k_size = 1 << 20;
inline constexpr uint64_t k_sector = 512;
inline constexpr uint64_t k_sectors = k_size / k_sector;

// What has to be there after the end.
enum class Kept { flushed, acknowledged };

// Every sector is filled with the number of the write that it was last part of; 0: never written, or discarded.
struct Sector {
    uint64_t flushed = 0;
    std::vector<uint64_t> since;  // what else may be there
};

struct Guest {
    std::mt19937& random;
    Kept kept = Kept::flushed;
    std::vector<Sector> sectors = std::vector<Sector>(k_sectors);
    uint64_t stamp = 0;

    // A few requests at a time, apart from each other. False: the power is gone.
    bool batch(BlockBackend& disk) {
        std::vector<std::vector<uint64_t>> data(1 + random() % 6);
        std::vector<Sent> results;
        const uint64_t lane = k_sectors / data.size();
        for (size_t i = 0; i < data.size(); ++i) {
            const uint64_t most = random() % 8 == 0 ? 300 : 24;
            const uint64_t count = 1 + random() % std::min(most, lane);
            const uint64_t first = i * lane + random() % (lane - count + 1);
            results.push_back(request(disk, first, count, data[i]));
        }
        bool alive = true;
        for (Sent& sent : results) {
            const bool done = sent.result.get() == BlockStatus::ok;
            alive = alive && done;
            for (uint64_t i = 0; i < sent.count && done && kept == Kept::acknowledged && sent.op != BlockOp::discard; ++i) {
                sectors[sent.first + i] = {sent.value, {}};
            }
        }
        return alive;
    }
    struct Sent {
        BlockOp op;
        uint64_t first, count, value;
        std::future<BlockStatus> result;
    };
    Sent request(BlockBackend& disk, uint64_t first, uint64_t count, std::vector<uint64_t>& data) {
        BlockRequest request;
        const unsigned choice = random() % 10;
        request.op = choice < 7 ? BlockOp::write : choice == 7 ? BlockOp::discard : BlockOp::write_zeroes;
        request.offset = first * k_sector;
        request.length = count * k_sector;
        request.may_unmap = random() % 2 == 0;
        const uint64_t value = request.op == BlockOp::write ? ++stamp : 0;
        if (request.op == BlockOp::write) {
            data.assign(count * k_sector / 8, value);
            request.buffers = {{data.data(), count * k_sector}};
        }
        for (uint64_t i = first; i < first + count; ++i) {
            sectors[i].since.push_back(value);
        }
        auto promise = std::make_shared<std::promise<BlockStatus>>();
        request.done = [promise](BlockStatus status) { promise->set_value(status); };
        const BlockOp op = request.op;
        disk.submit(std::move(request));
        return {op, first, count, value, promise->get_future()};
    }
    // A discard may have done nothing, so what stands there is asked.
    bool flush(BlockBackend& disk) {
        if (carry_out(disk, simple(BlockOp::flush)) != BlockStatus::ok) {
            return false;
        }
        std::vector<uint8_t> now(k_size);
        if (carry_out(disk, transfer(BlockOp::read, 0, now)) != BlockStatus::ok) {
            return false;
        }
        for (uint64_t i = 0; i < k_sectors; ++i) {
            sectors[i].flushed = load_le<uint64_t>(&now[i * k_sector]);
            sectors[i].since.clear();
        }
        return true;
    }
    void verify(const std::vector<uint8_t>& disk) const {
        for (uint64_t i = 0; i < k_sectors; ++i) {
            const auto value = load_le<uint64_t>(&disk[i * k_sector]);
            for (uint64_t at = 8; at < k_sector; at += 8) {
                ASSERT_EQ(load_le<uint64_t>(&disk[i * k_sector + at]), value) << "sector " << i << " is torn";
            }
            const bool known = value == sectors[i].flushed || std::ranges::count(sectors[i].since, value) != 0;
            ASSERT_TRUE(known) << "sector " << i << " holds " << value << ", flushed was " << sectors[i].flushed;
        }
    }
    void run(BlockBackend& disk) {
        while (batch(disk) && (random() % 3 != 0 || flush(disk))) {
        }
    }
};

inline std::shared_ptr<BlockBackend> base_of(bool based, std::mt19937& random) {
    if (!based) {
        return nullptr;
    }
    std::vector<uint8_t> bytes(k_size / 2);
    for (size_t i = 0; i < bytes.size(); i += k_sector) {
        const uint64_t value = random() % 4 == 0 ? 0 : (uint64_t{1} << 40) + i;
        for (size_t at = 0; at < k_sector; at += 8) {
            store_le<uint64_t>(&bytes[i + at], value);
        }
    }
    const uint64_t size = bytes.size();
    return std::make_shared<RawImage>("base.raw", BlockInfo{size, 512, true, false}, size, Fd(),
                                      std::make_unique<RecordingEngine>(std::move(bytes), ~uint64_t{0}));
}

// As a reader of the session sees it.
inline void expect_no_errors(const std::vector<uint8_t>& bytes, uint64_t session) {
    RecordingEngine engine(bytes, ~uint64_t{0});
    auto store = qcow2::Store::open(engine, bytes.size(), "cut.qcow2", {.access = ImageAccess::read_only, .session = session});
    ASSERT_TRUE(store) << store.error().message;
    const auto report = check_qcow2(**store, bytes.size(), Repair::nothing);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->errors, 0U) << (report->findings.empty() ? "" : report->findings.front());
}

// What a qcow2 image is like that is cut off.
struct Kind {
    unsigned cluster_bits;
    uint32_t version;
    bool based;
};
inline void PrintTo(const Kind& kind, std::ostream* out) {
    *out << "clusters of 2^" << kind.cluster_bits << ", version " << kind.version << (kind.based ? ", with a base" : "");
}

struct CutImageTest : testing::TestWithParam<Kind> {
    ScratchFolder folder;
    std::vector<uint8_t> fresh_image() {
        const std::string path = folder.file("fresh.qcow2");
        const Status made = create_qcow2_image(path, {.size = k_size, .cluster_bits = GetParam().cluster_bits, .refcount_order = 4,
                                                      .version = GetParam().version, .backing_file = {}, .backing_format = {}});
        EXPECT_TRUE(made) << made.error().message;
        return file_bytes(path);
    }
};

}  // namespace skep::test
