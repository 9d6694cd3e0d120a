// SPDX-License-Identifier: GPL-3.0-or-later
// Images that we wrote: against a model in memory, our own check and qemu-img's.
#include "tests/devices/formats/formats_fixture.hpp"

namespace skep::test {
namespace {

constexpr size_t k_size = 6 << 20;

struct Kind {
    unsigned cluster_bits;
    unsigned refcount_order;
    uint32_t version;
    bool based;
};
void PrintTo(const Kind& kind, std::ostream* out) {
    *out << "clusters of 2^" << kind.cluster_bits << ", counts of 2^" << kind.refcount_order << " bits, version " << kind.version
         << (kind.based ? ", with a base" : "");
}

struct Qcow2WriteTest : testing::TestWithParam<Kind> {
    ScratchFolder folder;
    std::string image = folder.file("image.qcow2");
    std::vector<uint8_t> model = std::vector<uint8_t>(k_size);
    std::mt19937 random{11};

    void create() {
        Qcow2CreateOptions options{.size = k_size, .cluster_bits = GetParam().cluster_bits,
                                   .refcount_order = GetParam().refcount_order, .version = GetParam().version,
                                   .backing_file = {}, .backing_format = {}};
        if (GetParam().based) {
            const std::vector<uint8_t> base = random_disk(k_size - (1 << 20), 5);
            put_file(folder.file("base.raw"), base);
            std::copy(base.begin(), base.end(), model.begin());
            options.backing_file = "base.raw";
            options.backing_format = "raw";
        }
        const Status made = create_qcow2_image(image, options);
        ASSERT_TRUE(made) << made.error().message;
    }
    std::shared_ptr<BlockBackend> open() {
        auto opened = open_image(image, in_folder(image));
        EXPECT_TRUE(opened) << opened.error().message;
        return opened ? *opened : nullptr;
    }
    // One random request, carried out on the image and on the model. A discard may leave either.
    void step(BlockBackend& backend) {
        const uint64_t offset = 512 * (random() % (k_size / 512));
        const uint64_t length = std::min<uint64_t>(k_size - offset, 512 * (1 + random() % (random() % 4 == 0 ? 600 : 20)));
        const unsigned choice = random() % 16;
        if (choice < 10) {
            std::vector<uint8_t> data(length, static_cast<uint8_t>(random()));
            BlockRequest write = transfer(BlockOp::write, offset, data);
            write.durability = choice == 0 ? Durability::through : Durability::cached;
            ASSERT_EQ(carry_out(backend, std::move(write)), BlockStatus::ok);
            std::copy(data.begin(), data.end(), model.begin() + static_cast<ptrdiff_t>(offset));
        } else if (choice < 13) {
            BlockRequest zero = simple(BlockOp::write_zeroes, offset, length);
            zero.may_unmap = choice == 10;
            ASSERT_EQ(carry_out(backend, std::move(zero)), BlockStatus::ok);
            std::fill_n(model.begin() + static_cast<ptrdiff_t>(offset), length, 0);
        } else if (choice < 15) {
            ASSERT_EQ(carry_out(backend, simple(BlockOp::discard, offset, length)), BlockStatus::ok);
            std::vector<uint8_t> now(length);
            ASSERT_EQ(carry_out(backend, transfer(BlockOp::read, offset, now)), BlockStatus::ok);
            for (uint64_t i = 0; i < length; ++i) {
                ASSERT_TRUE(now[i] == 0 || now[i] == model[offset + i]) << offset + i;
            }
            std::copy(now.begin(), now.end(), model.begin() + static_cast<ptrdiff_t>(offset));
        } else {
            ASSERT_EQ(carry_out(backend, simple(BlockOp::flush)), BlockStatus::ok);
        }
    }
};

TEST_P(Qcow2WriteTest, RandomRequests_ThenReopened_AreAllThere) {
    create();
    for (int round = 0; round < 3; ++round) {
        const auto backend = open();
        ASSERT_TRUE(backend);
        for (int i = 0; i < 80 && !HasFatalFailure(); ++i) {
            step(*backend);
        }
        ASSERT_EQ(read_all(*backend), model);
    }
    const Qcow2Check report = check(image);
    EXPECT_EQ(report.leaks + report.errors, 0U);
    if (has_qemu_img()) {
        EXPECT_EQ(shell("qemu-img check " + image), 0);
        put_file(folder.file("model.raw"), model);
        EXPECT_EQ(shell("cd " + folder.file("") + " && qemu-img compare -f raw -F qcow2 model.raw image.qcow2"), 0);
    }
}

TEST_P(Qcow2WriteTest, ManyInFlight_OverTheSameClusters_EachSectorIsOnePiece) {
    create();
    {
        const auto backend = open();
        ASSERT_TRUE(backend);
        constexpr int k_requests = 400;
        std::vector<std::vector<uint8_t>> data;
        std::atomic<int> left{k_requests};
        std::promise<void> all;
        data.reserve(k_requests);
        std::vector<bool> taken(k_size / 4096);
        for (int i = 0; i < k_requests; ++i) {
            size_t page = random() % taken.size();
            while (taken[page]) {
                page = (page + 1) % taken.size();
            }
            taken[page] = true;
            data.emplace_back(4096, static_cast<uint8_t>(1 + i % 255));
            std::fill_n(model.begin() + static_cast<ptrdiff_t>(page * 4096), 4096, static_cast<uint8_t>(1 + i % 255));
            BlockRequest write = transfer(BlockOp::write, page * 4096, data.back());
            write.done = [&](BlockStatus status) {
                EXPECT_EQ(status, BlockStatus::ok);
                if (--left == 0) {
                    all.set_value();
                }
            };
            backend->submit(std::move(write));
        }
        all.get_future().get();
        EXPECT_EQ(read_all(*backend), model);
    }
    EXPECT_EQ(check(image).leaks, 0U);
}

TEST_P(Qcow2WriteTest, Grown_WhileOpen_OldBytesAndZerosAndAllOfItWritable) {
    create();
    constexpr uint64_t k_larger = 40 << 20;
    {
        auto opened = open_image(image, in_folder(image));
        ASSERT_TRUE(opened);
        BlockBackend& disk = **opened;
        for (int i = 0; i < 20; ++i) {
            step(disk);
        }
        EXPECT_EQ(disk.grow(k_size).error().kind, ErrorKind::invalid_input);
        ASSERT_TRUE(disk.grow(k_larger));
        EXPECT_EQ(disk.info().size, k_larger);
        model.resize(k_larger);
        std::vector<uint8_t> data(700 << 10, 0x6b);
        for (const uint64_t at : {k_size - 4096UL, 20UL << 20, k_larger - data.size()}) {
            EXPECT_EQ(carry_out(disk, transfer(BlockOp::write, at, data)), BlockStatus::ok);
            std::ranges::copy(data, model.begin() + static_cast<ptrdiff_t>(at));
        }
        EXPECT_TRUE(read_all(disk) == model);
    }
    EXPECT_TRUE(read_all(*open()) == model);
    const Qcow2Check report = check(image);
    EXPECT_EQ(report.leaks + report.errors, 0U);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Qcow2WriteTest,
                         testing::Values(Kind{16, 4, 3, false}, Kind{16, 4, 3, true}, Kind{9, 6, 3, false}, Kind{9, 4, 3, true},
                                         Kind{12, 0, 3, true}, Kind{16, 4, 2, false}, Kind{16, 4, 2, true}, Kind{21, 3, 3, true}));

}  // namespace
}  // namespace skep::test
