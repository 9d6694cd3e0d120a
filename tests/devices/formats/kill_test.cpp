// SPDX-License-Identifier: GPL-3.0-or-later
// A worker that is killed: everything that its guest was told is done is there afterwards, flushed or not, on raw and on
// qcow2, and the image's tables have no error. First over a file in memory, stopped at any operation; then for real.
// SKEP_KILLS says how many to make of each kind (default: few).
#include <sys/mman.h>
#include <sys/wait.h>

#include <csignal>

#include "tests/devices/formats/cut_guest.hpp"

namespace skep::test {
namespace {

int kills_to_make(int usual) {
    const char* wanted = std::getenv("SKEP_KILLS");
    return wanted == nullptr ? usual : std::atoi(wanted);
}

// The file outlives the image, whose opening may have been stopped too.
class SharedEngine final : public FileEngine {
  public:
    explicit SharedEngine(std::shared_ptr<RecordingEngine> engine) : m_engine(std::move(engine)) {}
    ~SharedEngine() override { m_engine->wait(); }
    void start(FileOp op) override { m_engine->start(std::move(op)); }

  private:
    std::shared_ptr<RecordingEngine> m_engine;
};

struct Image {
    std::shared_ptr<Qcow2Image> disk;  // null: killed before it was open
    std::shared_ptr<RecordingEngine> engine;
};

struct KillTest : CutImageTest {
    static constexpr uint64_t k_session = 7;
    Image open(std::vector<uint8_t> bytes, uint64_t killed_at, std::shared_ptr<BlockBackend> base) {
        const uint64_t size = bytes.size();
        auto engine = std::make_shared<RecordingEngine>(std::move(bytes), killed_at);
        const Qcow2Options options{.cache_bytes = 4096, .commit_seconds = 0, .acknowledged = Acknowledged::in_file, .session = k_session};
        auto image = Qcow2Image::open("killed.qcow2", Fd(), std::make_unique<SharedEngine>(engine), size, std::move(base), options);
        EXPECT_TRUE(image || engine->operations() > killed_at) << image.error().message;
        return {image ? *image : nullptr, engine};
    }
};

TEST_P(KillTest, Qcow2_AnywhereAndTwice_AcknowledgedIsThereAndTablesAreRight) {
    const std::vector<uint8_t> fresh = fresh_image();
    for (int i = 0; i < kills_to_make(10) && !HasFatalFailure(); ++i) {
        std::mt19937 random(static_cast<unsigned>(i) * 104729 + GetParam().cluster_bits);
        const auto base = base_of(GetParam().based, random);
        Guest guest{random, Kept::acknowledged};
        std::vector<uint8_t> bytes = fresh;
        for (int round = 0; round < 2; ++round) {
            Image image = open(std::move(bytes), (round == 0 ? 8 : 0) + random() % 150, base);
            if (round == 0) {
                guest.flush(*image.disk);
            }
            if (image.disk) {
                guest.run(*image.disk);
                image.disk->drain();
            }
            bytes = image.engine->content();
            image.disk.reset();
            expect_no_errors(bytes, k_session);
            Image reopened = open(bytes, ~uint64_t{0}, base);
            ASSERT_TRUE(reopened.disk);
            const std::vector<uint8_t> now = read_all(*reopened.disk);
            guest.verify(now);
            for (uint64_t s = 0; s < k_sectors; ++s) {
                guest.sectors[s] = {load_le<uint64_t>(&now[s * k_sector]), {}};
            }
        }
    }
}

// Another program writes to the image in between: it drops what it does not know.
TEST_P(KillTest, LogOfAnotherWriter_AutoclearGone_IsNotBelieved) {
    Image image = open(fresh_image(), ~uint64_t{0}, nullptr);
    std::vector<uint8_t> data(64 << 10, 0x77);
    ASSERT_EQ(carry_out(*image.disk, transfer(BlockOp::write, 0, data)), BlockStatus::ok);
    std::vector<uint8_t> bytes = image.engine->content();
    const bool logged = (load_be<uint64_t>(&bytes[qcow2::k_autoclear_at]) & qcow2::k_autoclear_log) != 0;
    EXPECT_EQ(logged, GetParam().version == 3 && GetParam().cluster_bits >= 14);
    if (logged) {
        store_be<uint64_t>(&bytes[qcow2::k_autoclear_at], 0);
        const Image reopened = open(bytes, ~uint64_t{0}, nullptr);
        EXPECT_EQ(read_all(*reopened.disk), std::vector<uint8_t>(k_size));
    }
    Image closed = open(image.engine->content(), ~uint64_t{0}, nullptr);
    ASSERT_EQ(carry_out(*closed.disk, transfer(BlockOp::read, 0, data)), BlockStatus::ok);
    EXPECT_EQ(data, std::vector<uint8_t>(64 << 10, 0x77));
}

INSTANTIATE_TEST_SUITE_P(Kinds, KillTest,
                         testing::Values(Kind{16, 3, false}, Kind{16, 3, true}, Kind{14, 3, true}, Kind{12, 3, true}, Kind{16, 2, false}));

// --- a process, and SIGKILL ---

struct Killed : testing::TestWithParam<ImageFormat> {
    static constexpr uint64_t k_blocks = 2048;
    static constexpr uint64_t k_block = 16 << 10;
    static constexpr uint64_t k_depth = 8;
    ScratchFolder folder;
    std::string path = folder.file("killed.img");

    // The child: writes blocks in the order of an installation, mostly new places, and says which are done.
    [[noreturn]] void write_for_ever(std::atomic<uint64_t>* done, unsigned seed) {
        ImageOptions options = in_folder(path);
        options.format = GetParam();
        options.acknowledged = Acknowledged::in_file;
        const auto disk = open_image(path, options);
        std::mt19937 random(seed);
        for (uint64_t stamp = 1; disk; stamp += k_depth) {
            std::vector<std::vector<uint64_t>> data;
            std::vector<std::future<BlockStatus>> results;
            std::vector<uint64_t> blocks;
            while (blocks.size() < k_depth) {
                const uint64_t block = random() % 4 == 0 ? random() % k_blocks : (stamp + blocks.size()) * 5 % k_blocks;
                if (std::ranges::count(blocks, block) == 0) {
                    blocks.push_back(block);
                }
            }
            for (uint64_t i = 0; i < k_depth; ++i) {
                data.emplace_back(k_block / 8, stamp + i);
                BlockRequest write{.op = BlockOp::write, .offset = blocks[i] * k_block, .buffers = {{data[i].data(), k_block}}, .done = {}};
                auto promise = std::make_shared<std::promise<BlockStatus>>();
                write.done = [promise, done, block = blocks[i], value = stamp + i](BlockStatus status) {
                    if (status == BlockStatus::ok) {
                        done[block] = value;
                    }
                    promise->set_value(status);
                };
                results.push_back(promise->get_future());
                (*disk)->submit(std::move(write));
            }
            for (auto& result : results) {
                result.get();
            }
            if (random() % 64 == 0) {
                static_cast<void>(carry_out(**disk, simple(BlockOp::flush)));
            }
        }
        _exit(1);
    }
    void verify(const std::atomic<uint64_t>* done) {
        ImageOptions options = in_folder(path);
        options.format = GetParam();
        const auto disk = open_image(path, options);
        ASSERT_TRUE(disk) << disk.error().message;
        const std::vector<uint8_t> now = read_all(**disk);
        for (uint64_t block = 0; block < k_blocks; ++block) {
            for (uint64_t at = 0; at < k_block; at += 512) {
                // What is newer was under way.
                ASSERT_GE(load_le<uint64_t>(&now[block * k_block + at]), done[block].load()) << "block " << block;
            }
        }
    }
};

TEST_P(Killed, WriterAtAnyTime_AcknowledgedIsThereAndTablesAreRight) {
    const bool qcow2 = GetParam() == ImageFormat::qcow2;
    const auto made = qcow2 ? create_qcow2_image(path, {.size = k_blocks * k_block, .backing_file = {}, .backing_format = {}})
                            : create_raw_image(path, k_blocks * k_block);
    ASSERT_TRUE(made) << made.error().message;
    auto* done = static_cast<std::atomic<uint64_t>*>(
        mmap(nullptr, k_blocks * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(done, MAP_FAILED);
    for (int i = 0; i < kills_to_make(3) && !HasFatalFailure(); ++i) {
        std::mt19937 random(static_cast<unsigned>(i));
        std::fill_n(done, k_blocks, 0);
        if (i % 8 == 7) {  // a new one now and then: old places need no table
            std::filesystem::remove(path);
            ASSERT_TRUE(qcow2 ? create_qcow2_image(path, {.size = k_blocks * k_block, .backing_file = {}, .backing_format = {}})
                              : create_raw_image(path, k_blocks * k_block));
        }
        const pid_t child = fork();
        if (child == 0) {
            write_for_ever(done, random());
        }
        ASSERT_GT(child, 0);
        for (int waited = 0; std::none_of(done, done + k_blocks, [](const auto& one) { return one != 0; }) && waited < 10000; ++waited) {
            usleep(1000);
        }
        usleep(static_cast<useconds_t>(random() % 150'000));
        kill(child, SIGKILL);
        int status = 0;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
        if (qcow2) {
            const Qcow2Check report = check(path);
            EXPECT_EQ(report.errors, 0U);
            EXPECT_LE(report.leaks, 2 * k_depth) << "of writes that were under way";
        }
        verify(done);
        if (qcow2 && has_qemu_img()) {
            EXPECT_EQ(shell("qemu-img check " + path + "; case $? in 0|3) true;; *) false;; esac"), 0);  // 3: leaks
        }
    }
    munmap(done, k_blocks * 8);
}

INSTANTIATE_TEST_SUITE_P(Formats, Killed, testing::Values(ImageFormat::raw, ImageFormat::qcow2),
                         [](const auto& one) { return std::string(to_text(one.param)); });

}  // namespace
}  // namespace skep::test
