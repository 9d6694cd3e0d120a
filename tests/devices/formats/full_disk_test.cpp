// SPDX-License-Identifier: GPL-3.0-or-later
// A host disk that is full now and then, at any write: of data, of a table, of the log. Requests are held, reported and go
// on after room was made; nothing is lost and the tables are right.
#include "tests/devices/formats/cut_guest.hpp"

namespace skep::test {
namespace {

// Takes so many writes, the last of them perhaps in part, then none until there is room again.
class FullEngine final : public FileEngine {
  public:
    FullEngine(std::vector<uint8_t> content, unsigned seed) : m_file(std::move(content), ~uint64_t{0}), m_random(seed) {}
    void start(FileOp op) override {
        if (op.kind == FileOpKind::write) {
            const std::lock_guard lock(m_mutex);
            if (m_left == 0) {
                op.kind = FileOpKind::nothing;
                op.done = [done = std::move(op.done)](int64_t) { done(-ENOSPC); };
            } else if (--m_left == 0 && m_random() % 2 == 0) {
                op.buffers.resize(1);
                op.buffers[0].iov_len = (op.buffers[0].iov_len + 1) / 2;
            }
        }
        m_file.start(std::move(op));
    }
    void make_room() {
        const std::lock_guard lock(m_mutex);
        m_left = 1 + m_random() % 12;
    }
    [[nodiscard]] std::vector<uint8_t> content() { return m_file.content(); }

  private:
    RecordingEngine m_file;
    std::mutex m_mutex;
    std::mt19937 m_random;
    unsigned m_left = 40;
};

struct Kind {
    unsigned cluster_bits;
    uint32_t version;
    bool based;
};
void PrintTo(const Kind& kind, std::ostream* out) {
    *out << "clusters of 2^" << kind.cluster_bits << ", version " << kind.version << (kind.based ? ", with a base" : "");
}

struct FullDiskTest : testing::TestWithParam<Kind> {
    ScratchFolder folder;
    FullEngine* engine = nullptr;
    std::atomic<int> reports{0};

    std::shared_ptr<Qcow2Image> open(unsigned seed, std::shared_ptr<BlockBackend> base) {
        const std::string path = folder.file("fresh.qcow2");
        std::filesystem::remove(path);
        const Status made = create_qcow2_image(path, {.size = k_size, .cluster_bits = GetParam().cluster_bits, .refcount_order = 4,
                                                      .version = GetParam().version, .backing_file = {}, .backing_format = {}});
        EXPECT_TRUE(made) << made.error().message;
        std::vector<uint8_t> bytes = file_bytes(path);
        const uint64_t size = bytes.size();
        auto owned = std::make_unique<FullEngine>(std::move(bytes), seed);
        engine = owned.get();
        const Qcow2Options options{.cache_bytes = 4096, .commit_seconds = 0, .acknowledged = Acknowledged::in_file, .session = 3};
        auto image = Qcow2Image::open("full.qcow2", Fd(), std::move(owned), size, std::move(base), options);
        EXPECT_TRUE(image) << image.error().message;
        return image ? *image : nullptr;
    }
};

TEST_P(FullDiskTest, Qcow2_FullAtAnyWrite_NothingIsLost) {
    for (unsigned seed = 0; seed < 6 && !HasFatalFailure(); ++seed) {
        std::mt19937 random(seed);
        const auto base = base_of(GetParam().based, random);
        const auto disk = open(seed, base);
        ASSERT_TRUE(disk);
        disk->set_on_no_space([&](const std::string& sentence) {
            EXPECT_NE(sentence.find("full.qcow2 cannot grow"), std::string::npos);
            ++reports;
            engine->make_room();
            disk->retry();
        });
        Guest guest{random, Kept::acknowledged};
        ASSERT_TRUE(guest.flush(*disk));
        for (int i = 0; i < 40; ++i) {
            ASSERT_TRUE(guest.batch(*disk)) << "a request failed";
            ASSERT_TRUE(i % 4 != 0 || guest.flush(*disk));
        }
        engine->make_room();
        guest.verify(read_all(*disk));
        expect_no_errors(engine->content(), 3);
        // Whoever kills the worker while it waits for room finds all of it, too.
        const std::vector<uint8_t> left = engine->content();
        disk->set_on_no_space([&](const std::string&) {
            engine->make_room();
            disk->retry();
        });
        RecordingEngine* after = nullptr;
        auto owned = std::make_unique<RecordingEngine>(left, ~uint64_t{0});
        after = owned.get();
        const auto reopened = Qcow2Image::open("full.qcow2", Fd(), std::move(owned), left.size(), base,
                                               {.commit_seconds = 0, .acknowledged = Acknowledged::in_file, .session = 3});
        ASSERT_TRUE(reopened) << reopened.error().message;
        guest.verify(read_all(**reopened));
        expect_no_errors(after->content(), 3);
    }
    EXPECT_GT(reports, 20);
}

TEST_P(FullDiskTest, Cancelled_HeldRequests_EndAndTheRestGoesOn) {
    std::mt19937 random(1);
    const auto disk = open(1, base_of(GetParam().based, random));
    ASSERT_TRUE(disk);
    disk->set_on_no_space([&](const std::string&) {
        ++reports;
        disk->cancel_held();
    });
    std::vector<uint8_t> data(200 << 10, 0x31);
    BlockStatus last = BlockStatus::ok;
    for (int i = 0; i < 60 && last == BlockStatus::ok; ++i) {
        last = carry_out(*disk, transfer(BlockOp::write, (random() % 1000) * 512, data));
        last = last == BlockStatus::ok && i % 3 == 0 ? carry_out(*disk, simple(BlockOp::write_zeroes, 512 * (random() % 100), 300 << 10)) : last;
    }
    EXPECT_EQ(last, BlockStatus::no_space);
    engine->make_room();
    disk->set_on_no_space([&](const std::string&) {
        engine->make_room();
        disk->retry();
    });
    EXPECT_EQ(carry_out(*disk, transfer(BlockOp::write, 512 * 7, data)), BlockStatus::ok);
    EXPECT_EQ(carry_out(*disk, simple(BlockOp::flush)), BlockStatus::ok);
    expect_no_errors(engine->content(), 3);
}

INSTANTIATE_TEST_SUITE_P(Kinds, FullDiskTest,
                         testing::Values(Kind{9, 3, false}, Kind{9, 3, true}, Kind{16, 3, false}, Kind{16, 3, true}, Kind{12, 2, true}));

}  // namespace
}  // namespace skep::test
