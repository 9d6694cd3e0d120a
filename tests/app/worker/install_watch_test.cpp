// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/install_watch.hpp"

#include <gtest/gtest.h>

#include <cstring>

namespace skep {
namespace {

using Installer = InstallWatch::Installer;

// A disk whose requests are done at once.
class PlainDisk final : public BlockBackend {
  public:
    [[nodiscard]] const BlockInfo& info() const override { return m_info; }
    void submit(BlockRequest request) override {
        for (const iovec& buffer : request.buffers) {
            std::memcpy(buffer.iov_base, &bytes[request.offset], buffer.iov_len);
            request.offset += buffer.iov_len;
        }
        request.done(BlockStatus::ok);
    }
    void drain() override {}
    void set_on_no_space(std::function<void(const std::string&)> /*report*/) override {}
    void retry() override {}
    void cancel_held() override {}

    // What a BIOS starts.
    void make_bootable(std::byte code) {
        bytes[0] = code;
        bytes[510] = std::byte{0x55};
        bytes[511] = std::byte{0xaa};
    }

    std::vector<std::byte> bytes = std::vector<std::byte>(2 << 20);

  private:
    BlockInfo m_info{.size = 2 << 20, .block_size = 512, .read_only = false, .can_discard = false};
};

class InstallWatchTest : public testing::Test {
  protected:
    std::shared_ptr<PlainDisk> m_disk = std::make_shared<PlainDisk>();
    std::vector<BuiltDisk> m_disks{{"disk0", "", m_disk}};
};

TEST_F(InstallWatchTest, disk_that_has_come_to_start_is_told_once) {
    for (const Installer installer : {Installer::attended, Installer::unattended}) {
        m_disk->bytes.assign(m_disk->bytes.size(), std::byte{});
        InstallWatch watch(Firmware::bios, installer, m_disks);
        EXPECT_FALSE(watch.take_installed());
        m_disk->make_bootable(std::byte{1});
        EXPECT_TRUE(watch.take_installed());
        EXPECT_FALSE(watch.take_installed());
    }
}

TEST_F(InstallWatchTest, system_that_an_unattended_installer_has_replaced_is_installed) {
    m_disk->make_bootable(std::byte{1});
    InstallWatch watch(Firmware::bios, Installer::unattended, m_disks);
    EXPECT_FALSE(watch.take_installed());
    m_disk->bytes[512] = std::byte{1};
    EXPECT_TRUE(watch.take_installed());
    EXPECT_FALSE(watch.take_installed());
}

TEST_F(InstallWatchTest, system_that_was_mended_from_a_cd_is_not_installed) {
    m_disk->make_bootable(std::byte{1});
    InstallWatch watch(Firmware::bios, Installer::attended, m_disks);
    m_disk->make_bootable(std::byte{2});
    EXPECT_FALSE(watch.take_installed());
}

TEST_F(InstallWatchTest, disk_that_only_another_firmware_starts_is_not_installed) {
    InstallWatch watch(Firmware::uefi, Installer::unattended, m_disks);
    m_disk->make_bootable(std::byte{1});
    EXPECT_FALSE(watch.take_installed());
}

}  // namespace
}  // namespace skep
