// SPDX-License-Identifier: GPL-3.0-or-later
// Power cuts: whatever was flushed is there afterwards, on raw and on qcow2, and the image's tables have no error.
// SKEP_POWER_CUTS says how many to make of each kind (default: few).
#include "devices/formats/qcow2.hpp"
#include "tests/devices/formats/formats_fixture.hpp"
#include "tests/support/recording_engine.hpp"

namespace skep::test {
namespace {

constexpr uint64_t k_size = 1 << 20;
constexpr uint64_t k_sector = 512;
constexpr uint64_t k_sectors = k_size / k_sector;

int cuts_to_make(int usual) {
    const char* wanted = std::getenv("SKEP_POWER_CUTS");
    return wanted == nullptr ? usual : std::atoi(wanted);
}

// Every sector is filled with the number of the write that it was last part of; 0: never written, or discarded.
struct Sector {
    uint64_t flushed = 0;
    std::vector<uint64_t> since;  // what else may be there
};

struct Guest {
    std::mt19937& random;
    std::vector<Sector> sectors = std::vector<Sector>(k_sectors);
    uint64_t stamp = 0;

    // A few requests at a time, apart from each other. False: the power is gone.
    bool batch(BlockBackend& disk) {
        std::vector<std::vector<uint64_t>> data(1 + random() % 6);
        std::vector<std::future<BlockStatus>> results;
        const uint64_t lane = k_sectors / data.size();
        for (size_t i = 0; i < data.size(); ++i) {
            const uint64_t most = random() % 8 == 0 ? 300 : 24;
            const uint64_t count = 1 + random() % std::min(most, lane);
            const uint64_t first = i * lane + random() % (lane - count + 1);
            results.push_back(request(disk, first, count, data[i]));
        }
        bool alive = true;
        for (auto& result : results) {
            alive = result.get() == BlockStatus::ok && alive;
        }
        return alive;
    }
    std::future<BlockStatus> request(BlockBackend& disk, uint64_t first, uint64_t count, std::vector<uint64_t>& data) {
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
        disk.submit(std::move(request));
        return promise->get_future();
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

struct Image {
    std::shared_ptr<BlockBackend> disk;
    RecordingEngine* engine;
};

std::shared_ptr<BlockBackend> base_of(bool based, std::mt19937& random) {
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

Image open_qcow2(std::vector<uint8_t> bytes, uint64_t cut_at, std::shared_ptr<BlockBackend> base) {
    const uint64_t size = bytes.size();
    auto owned = std::make_unique<RecordingEngine>(std::move(bytes), cut_at);
    RecordingEngine* engine = owned.get();
    Qcow2Options options;
    options.commit_seconds = 0;
    options.cache_bytes = 4096;  // small: tables are written out between flushes too
    auto image = Qcow2Image::open("cut.qcow2", Fd(), std::move(owned), size, std::move(base), options);
    EXPECT_TRUE(image) << image.error().message;
    return {image ? *image : nullptr, engine};
}

void expect_no_errors(const std::vector<uint8_t>& bytes) {
    RecordingEngine engine(bytes, ~uint64_t{0});
    auto store = qcow2::Store::open(engine, bytes.size(), "cut.qcow2", {.access = ImageAccess::read_only});
    ASSERT_TRUE(store) << store.error().message;
    const auto report = check_qcow2(**store, bytes.size(), Repair::nothing);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->errors, 0U) << (report->findings.empty() ? "" : report->findings.front());
}

struct Kind {
    unsigned cluster_bits;
    uint32_t version;
    bool based;
};
void PrintTo(const Kind& kind, std::ostream* out) {
    *out << "clusters of 2^" << kind.cluster_bits << ", version " << kind.version << (kind.based ? ", with a base" : "");
}

struct PowerCutTest : testing::TestWithParam<Kind> {
    ScratchFolder folder;
    std::vector<uint8_t> fresh_image() {
        const std::string path = folder.file("fresh.qcow2");
        const Status made = create_qcow2_image(path, {.size = k_size, .cluster_bits = GetParam().cluster_bits, .refcount_order = 4,
                                                      .version = GetParam().version, .backing_file = {}, .backing_format = {}});
        EXPECT_TRUE(made) << made.error().message;
        return file_bytes(path);
    }
    void agree_with_qemu(const std::vector<uint8_t>& bytes) {
        const std::string path = folder.file("cut.qcow2");
        put_file(path, bytes);
        // 0: clean, 3: leaks only
        EXPECT_EQ(shell("qemu-img check " + path + "; case $? in 0|3) true;; *) false;; esac"), 0);
    }
};

TEST_P(PowerCutTest, Qcow2_AnywhereAndTwice_FlushedIsThereAndTablesAreRight) {
    const std::vector<uint8_t> fresh = fresh_image();
    for (int i = 0; i < cuts_to_make(12) && !HasFatalFailure(); ++i) {
        std::mt19937 random(static_cast<unsigned>(i) * 7919 + GetParam().cluster_bits);
        const auto base = base_of(GetParam().based, random);
        Guest guest{random};
        std::vector<uint8_t> bytes = fresh;
        for (int round = 0; round < 2; ++round) {  // the second finds what the first cut left
            Image image = open_qcow2(std::move(bytes), 1 + random() % 200, base);
            ASSERT_TRUE(image.disk);
            if (round == 0) {
                guest.flush(*image.disk);
            }
            guest.run(*image.disk);
            image.disk->drain();
            bytes = image.engine->after_cut(random);
            image.disk.reset();
            expect_no_errors(bytes);
            const Image reopened = open_qcow2(bytes, ~uint64_t{0}, base);
            ASSERT_TRUE(reopened.disk);
            const std::vector<uint8_t> now = read_all(*reopened.disk);
            guest.verify(now);
            for (uint64_t s = 0; s < k_sectors; ++s) {
                guest.sectors[s] = {load_le<uint64_t>(&now[s * k_sector]), {}};
            }
        }
        if (i % 6 == 0 && has_qemu_img()) {
            agree_with_qemu(bytes);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Kinds, PowerCutTest,
                         testing::Values(Kind{9, 3, false}, Kind{9, 3, true}, Kind{12, 3, true}, Kind{16, 3, false}, Kind{12, 2, false}));

TEST(PowerCut, Raw_Anywhere_FlushedIsThere) {
    for (int i = 0; i < cuts_to_make(50) && !testing::Test::HasFatalFailure(); ++i) {
        std::mt19937 random(static_cast<unsigned>(i));
        auto owned = std::make_unique<RecordingEngine>(std::vector<uint8_t>(k_size), 1 + random() % 200);
        RecordingEngine* engine = owned.get();
        RawImage image("cut.raw", BlockInfo{k_size, 512, false, true}, k_size, Fd(), std::move(owned));
        Guest guest{random};
        guest.run(image);
        image.drain();
        guest.verify(engine->after_cut(random));
    }
}

}  // namespace
}  // namespace skep::test
