// SPDX-License-Identifier: GPL-3.0-or-later
// Power cuts: whatever was flushed is there afterwards, on raw and on qcow2, and the image's tables have no error.
// SKEP_POWER_CUTS says how many to make of each kind (default: few).
#include "tests/devices/formats/cut_guest.hpp"

namespace skep::test {
namespace {

int cuts_to_make(int usual) {
    const char* wanted = std::getenv("SKEP_POWER_CUTS");
    return wanted == nullptr ? usual : std::atoi(wanted);
}

constexpr uint64_t k_opening = 8;  // operations that opening an image takes at most

struct Image {
    std::shared_ptr<BlockBackend> disk;
    RecordingEngine* engine;
};

// A power cut ends a session: the log of the one before is not believed.
Image open_qcow2(std::vector<uint8_t> bytes, uint64_t cut_at, std::shared_ptr<BlockBackend> base, uint64_t session) {
    const uint64_t size = bytes.size();
    auto owned = std::make_unique<RecordingEngine>(std::move(bytes), cut_at);
    RecordingEngine* engine = owned.get();
    Qcow2Options options;
    options.commit_seconds = 0;
    options.cache_bytes = 4096;  // small: tables are written out between flushes too
    options.acknowledged = Acknowledged::in_file;
    options.session = session;
    auto image = Qcow2Image::open("cut.qcow2", Fd(), std::move(owned), size, std::move(base), options);
    EXPECT_TRUE(image) << image.error().message;
    return {image ? *image : nullptr, engine};
}

struct PowerCutTest : CutImageTest {
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
        for (unsigned round = 0; round < 2; ++round) {  // the second finds what the first cut left
            Image image = open_qcow2(std::move(bytes), k_opening + random() % 200, base, 1 + round);
            ASSERT_TRUE(image.disk);
            if (round == 0) {
                guest.flush(*image.disk);
            }
            guest.run(*image.disk);
            image.disk->drain();
            bytes = image.engine->after_cut(random);
            image.disk.reset();
            expect_no_errors(bytes, 2 + round);
            const Image reopened = open_qcow2(bytes, ~uint64_t{0}, base, 2 + round);
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
