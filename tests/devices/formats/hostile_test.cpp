// SPDX-License-Identifier: GPL-3.0-or-later
// Images that lie: a sentence that names the file, no crash, and no file opened that nobody allowed.
#include "devices/formats/qcow2_store.hpp"
#include "tests/devices/formats/formats_fixture.hpp"
#include "tests/support/recording_engine.hpp"
#include "vmm/base/bits.hpp"

namespace skep::test {
namespace {

struct HostileTest : testing::Test {
    ScratchFolder folder;
    std::string path = folder.file("hostile.qcow2");
    std::vector<uint8_t> good;

    void SetUp() override {
        Qcow2CreateOptions options;
        options.size = 4 << 20;
        options.cluster_bits = 12;
        ASSERT_TRUE(create_qcow2_image(path, options));
        {
            auto opened = open_image(path, in_folder(path));
            ASSERT_TRUE(opened);
            std::vector<uint8_t> data = random_disk(1 << 20, 1);
            ASSERT_EQ(carry_out(**opened, transfer(BlockOp::write, 4096, data)), BlockStatus::ok);
        }
        good = file_bytes(path);
    }
    template <typename T>
    std::vector<uint8_t> with(size_t at, T value) {
        std::vector<uint8_t> bad = good;
        store_be<T>(&bad[at], value);
        return bad;
    }
    // The sentence that the image was refused with; empty when it was opened.
    std::string refusal(const std::vector<uint8_t>& bytes, ImageAccess access = ImageAccess::read_only) {
        put_file(path, bytes);
        ImageOptions options = in_folder(path, access);
        options.format = ImageFormat::qcow2;
        const auto opened = open_image(path, options);
        return opened ? "" : opened.error().message;
    }
};

TEST_F(HostileTest, HeaderFields_OutOfRange_AreRefusedByName) {
    const struct {
        std::vector<uint8_t> bytes;
        const char* says;
    } cases[] = {
        {with<uint32_t>(0, 0x12345678), "not a qcow2"},
        {with<uint32_t>(4, 9), "version 9"},
        {with<uint32_t>(20, 8), "clusters"},
        {with<uint32_t>(20, 63), "clusters"},
        {with<uint32_t>(32, 1), "encrypted"},
        {with<uint64_t>(24, 0), "size"},
        {with<uint64_t>(24, ~uint64_t{0}), "size"},
        {with<uint64_t>(24, uint64_t{1} << 50), "first-level"},
        {with<uint32_t>(36, ~0U), "first-level"},
        {with<uint32_t>(36, 0), "first-level"},
        {with<uint64_t>(40, 0), "overlaps"},
        {with<uint64_t>(40, 4097), "outside"},
        {with<uint64_t>(40, uint64_t{1} << 60), "outside"},
        {with<uint64_t>(48, 0), "overlaps"},
        {with<uint64_t>(48, uint64_t{1} << 60), "outside"},
        {with<uint32_t>(56, 0), "reference count table"},
        {with<uint32_t>(56, ~0U), "reference count table"},
        {with<uint32_t>(60, ~0U), "snapshots"},
        {with<uint32_t>(60, 3), "overlaps"},
        {with<uint64_t>(72, bit(2)), "external data file"},
        {with<uint64_t>(72, bit(4)), "extended L2"},
        {with<uint64_t>(72, bit(40)), "number 40"},
        {with<uint32_t>(96, 7), "width"},
        {with<uint32_t>(100, 8), "header"},
        {with<uint32_t>(100, 1 << 30), "header"},
        {with<uint64_t>(8, uint64_t{1} << 40), "backing"},
        {with<uint32_t>(112 + 4, 1 << 30), "extension"},
        {{good.begin(), good.begin() + 80}, "header"},
    };
    for (const auto& one : cases) {
        const std::string sentence = refusal(one.bytes);
        EXPECT_NE(sentence.find(one.says), std::string::npos) << "wanted \"" << one.says << "\", got \"" << sentence << '"';
    }
    EXPECT_EQ(refusal(good), "");
}

TEST_F(HostileTest, CorruptAndDirty_Writing_IsRefusedReadingIsNot) {
    EXPECT_EQ(refusal(with<uint64_t>(72, bit(1))), "");
    EXPECT_NE(refusal(with<uint64_t>(72, bit(1)), ImageAccess::read_write).find("corrupt"), std::string::npos);
    EXPECT_EQ(refusal(with<uint64_t>(72, bit(0))), "");
    EXPECT_NE(refusal(with<uint64_t>(72, bit(0)), ImageAccess::read_write).find("--repair"), std::string::npos);
    const auto repaired = check_qcow2_image(path, Repair::everything);
    ASSERT_TRUE(repaired) << repaired.error().message;
    EXPECT_EQ(refusal(file_bytes(path), ImageAccess::read_write), "");
}

TEST_F(HostileTest, TablesInOneAnother_AreRefused) {
    const auto l1 = load_be<uint64_t>(&good[40]);
    const auto counts = load_be<uint64_t>(&good[48]);
    for (const uint64_t target : {uint64_t{0}, counts, l1, l1 + 512, uint64_t{1} << 45}) {
        if (target != 0) {
            EXPECT_NE(refusal(with<uint64_t>(l1, target | bit(63))), "") << target;
            EXPECT_NE(refusal(with<uint64_t>(counts, target)), "") << target;
        }
    }
}

TEST_F(HostileTest, DataInTables_ReadsAndWritesFail_TheRestWorks) {
    const uint64_t l2 = load_be<uint64_t>(&good[load_be<uint64_t>(&good[40])]) & ~bit(63);
    for (const uint64_t target : {load_be<uint64_t>(&good[40]), load_be<uint64_t>(&good[48]), l2, uint64_t{512}}) {
        put_file(path, with<uint64_t>(l2 + 8, target | bit(63)));
        std::vector<uint8_t> data(4096, 0xee);
        {
            auto reader = open_image(path, in_folder(path, ImageAccess::read_only));
            ASSERT_TRUE(reader);
            EXPECT_EQ(carry_out(**reader, transfer(BlockOp::read, 4096, data)), BlockStatus::io_error);
            EXPECT_EQ(carry_out(**reader, transfer(BlockOp::read, 8192, data)), BlockStatus::ok);
        }
        auto writer = open_image(path, in_folder(path));
        ASSERT_TRUE(writer);
        EXPECT_EQ(carry_out(**writer, transfer(BlockOp::write, 4096, data)), BlockStatus::io_error);
        writer->reset();
        EXPECT_TRUE(std::equal(good.begin() + 72, good.begin() + 4096, file_bytes(path).begin() + 72));
    }
}

TEST_F(HostileTest, Base_OutsideOfTheFolder_IsOpenedOnlyWhenTrusted) {
    const ScratchFolder elsewhere;
    const std::string secret = write_file(elsewhere.file("secret"), 1 << 20, 's');
    std::filesystem::create_symlink(secret, folder.file("innocent"));
    for (const std::string& name : {secret, std::string("innocent"), std::string("../") + secret, std::string("../../../etc/passwd")}) {
        const std::string top = folder.file("top.qcow2");
        ASSERT_TRUE(make_overlay(top, name));
        const auto opened = open_image(top, in_folder(top));
        ASSERT_FALSE(opened) << name;
        EXPECT_TRUE(opened.error().kind == ErrorKind::permission) << opened.error().message;
        if (name == secret) {
            ImageOptions trusting = in_folder(top);
            trusting.backing.files = {secret};
            EXPECT_TRUE(open_image(top, trusting));
        }
    }
    for (const char* name : {"nbd://host/x", "json:{}"}) {
        EXPECT_EQ(resolve_backing(path, name, {}).error().kind, ErrorKind::invalid_input);
    }
}

TEST_F(HostileTest, Chain_ThatBitesItsTail_IsRefused) {
    for (const auto& [name, base] : {std::pair("a.qcow2", "b.qcow2"), std::pair("b.qcow2", "a.qcow2"), std::pair("c.qcow2", "c.qcow2")}) {
        Qcow2CreateOptions options;
        options.size = 1 << 20;
        options.backing_file = base;
        options.backing_format = "qcow2";
        ASSERT_TRUE(create_qcow2_image(folder.file(name), options));
    }
    for (const char* name : {"a.qcow2", "c.qcow2"}) {
        const auto opened = open_image(folder.file(name), in_folder(path));
        ASSERT_FALSE(opened);
        EXPECT_NE(opened.error().message.find("itself"), std::string::npos) << opened.error().message;
    }
}

// Whatever stands in the tables: requests end, the check ends, nothing crashes.
TEST_F(HostileTest, RandomBytesInTables_EverythingEnds) {
    std::mt19937 random(9);
    for (int i = 0; i < 200; ++i) {
        std::vector<uint8_t> bad = good;
        for (int change = 0; change < 6; ++change) {
            const size_t region = random() % 3 == 0 ? 112 : 7 * 4096;
            bad[random() % region] = static_cast<uint8_t>(random() % 2 == 0 ? random() : 0xff);
        }
        put_file(path, bad);
        for (const ImageAccess access : {ImageAccess::read_only, ImageAccess::read_write}) {
            ImageOptions options = quickly(in_folder(path, access));
            options.format = ImageFormat::qcow2;
            const auto opened = open_image(path, options);
            if (!opened) {
                EXPECT_NE(opened.error().message.find("hostile.qcow2"), std::string::npos) << opened.error().message;
                continue;
            }
            std::vector<uint8_t> data(32 << 10, 1);
            for (const BlockOp op : {BlockOp::read, BlockOp::write, BlockOp::read}) {
                static_cast<void>(carry_out(**opened, transfer(op, 512 * (random() % 7000), data)));
            }
            static_cast<void>(carry_out(**opened, simple(BlockOp::discard, 0, 1 << 20)));
            static_cast<void>(carry_out(**opened, simple(BlockOp::flush)));
        }
        bad = file_bytes(path);
        RecordingEngine memory(bad, ~uint64_t{0});
        for (const Repair repair : {Repair::nothing, Repair::everything}) {
            if (auto store = qcow2::Store::open(memory, bad.size(), path, {})) {
                static_cast<void>(check_qcow2(**store, bad.size(), repair));
            }
        }
    }
}

}  // namespace
}  // namespace skep::test
