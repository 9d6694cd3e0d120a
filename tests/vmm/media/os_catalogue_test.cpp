// SPDX-License-Identifier: GPL-3.0-or-later
// Volume ids, info lines and file names as real media carry them, and what they must be taken for.
#include "vmm/media/os_catalogue.hpp"

#include <gtest/gtest.h>

namespace skep {
namespace {

struct Sample {
    const char* text;
    const char* id;
    const char* name;
};

struct Recognised : testing::TestWithParam<Sample> {};

TEST_P(Recognised, text_gives_id_and_name) {
    const auto guess = recognise_os(GetParam().text);
    ASSERT_TRUE(guess) << GetParam().text;
    EXPECT_EQ(guess->id, GetParam().id) << GetParam().text;
    EXPECT_EQ(guess->name, GetParam().name) << GetParam().text;
    EXPECT_EQ(guess->confidence, Confidence::certain);
    EXPECT_GE(guess->memory_mib, 256u);
    EXPECT_EQ(guess->needs_disk, guess->disk_gib != 0);
}

INSTANTIATE_TEST_SUITE_P(
    RealMedia, Recognised,
    testing::Values(Sample{"Debian 12 n", "debian12", "Debian 12 (network installer)"},
                    Sample{"Debian 12.5.0 amd64 n", "debian12", "Debian 12 (network installer)"},
                    Sample{"Debian 13.1.0 amd64 1", "debian13", "Debian 13 (DVD)"},
                    Sample{"Debian 11.9.0 amd64 1", "debian11", "Debian 11 (DVD)"},
                    Sample{"d-live 12.5.0 gn amd64", "debian12", "Debian 12 (live)"},
                    Sample{"debian-12.5.0-amd64-netinst", "debian12", "Debian 12 (network installer)"},
                    Sample{"Ubuntu 20.04.6 LTS amd64", "ubuntu20.04", "Ubuntu 20.04"},
                    Sample{"Ubuntu-Server 22.04.3 LTS amd64", "ubuntu22.04", "Ubuntu Server 22.04"},
                    Sample{"Ubuntu 24.04 LTS amd64", "ubuntu24.04", "Ubuntu 24.04"},
                    Sample{"Ubuntu 25.10 amd64", "ubuntu25.10", "Ubuntu 25.10"},
                    Sample{"Kubuntu 24.04 LTS amd64", "ubuntu24.04", "Kubuntu 24.04"},
                    Sample{"Fedora-WS-Live-40-1-14", "fedora40", "Fedora 40 (live)"},
                    Sample{"Fedora-S-dvd-x86_64-37", "fedora37", "Fedora Server 37"},
                    Sample{"Fedora-E-dvd-x86_64-41", "fedora41", "Fedora 41"},
                    Sample{"alpine-std 3.19.1 x86_64", "alpinelinux3.19", "Alpine Linux 3.19"},
                    Sample{"alpine-virt 3.20.0 x86_64", "alpinelinux3.20", "Alpine Linux 3.20"},
                    Sample{"ARCH_202401", "archlinux", "Arch Linux"},
                    Sample{"openSUSE-Leap-15.5-DVD-x86_64", "opensuse15.5", "openSUSE Leap 15.5"},
                    Sample{"openSUSE-Tumbleweed-DVD-x86_64", "opensusetumbleweed", "openSUSE Tumbleweed"},
                    Sample{"Rocky-9-3-x86_64-dvd", "rocky9", "Rocky Linux 9"},
                    Sample{"AlmaLinux-8-9-x86_64-minimal", "almalinux8", "AlmaLinux 8"},
                    Sample{"RHEL-9-3-0-BaseOS-x86_64", "rhel9", "Red Hat Enterprise Linux 9"},
                    Sample{"CentOS-Stream-9-BaseOS-x86_64", "centos-stream9", "CentOS Stream 9"},
                    Sample{"Linux Mint 21.2 Cinnamon 64-bit", "linuxmint21.2", "Linux Mint 21.2"},
                    Sample{"MANJARO_KDE_2310", "manjaro", "Manjaro"},
                    Sample{"nixos-minimal-23.11-x86_64", "nixos-23.11", "NixOS 23.11 (minimal)"},
                    Sample{"Kali Linux amd64 1", "kali", "Kali Linux"},
                    Sample{"14_0_RELEASE_AMD64_CD", "freebsd14.0", "FreeBSD 14.0"},
                    Sample{"FreeBSD-14.1-RELEASE-amd64-disc1", "freebsd14.1", "FreeBSD 14.1"},
                    Sample{"OpenBSD/amd64   7.4 Install CD", "openbsd7.4", "OpenBSD 7.4"},
                    Sample{"NetBSD/amd64 9.3", "netbsd9.3", "NetBSD 9.3"},
                    Sample{"Win11_23H2_English_x64", "win11", "Windows 11"},
                    Sample{"CCCOMA_X64FRE_EN-US_DV9", "win10", "Windows 10 or 11"},
                    Sample{"MT86PLUS_64", "memtest86+", "Memtest86+"}));

TEST(OsCatalogue, text_without_version_is_only_likely) {
    const auto guess = recognise_os("debian custom");
    ASSERT_TRUE(guess);
    EXPECT_EQ(guess->confidence, Confidence::likely);
    EXPECT_EQ(guess->id, "debian");
}

TEST(OsCatalogue, unknown_text_gives_nothing) {
    for (const char* text : {"", "ISOIMAGE", "CDROM", "PHOTOS 2024", "LIVE-BUSYBOX", "x86_64", "my research"}) {
        EXPECT_FALSE(recognise_os(text)) << text;
    }
}

TEST(OsCatalogue, windows_11_wants_its_requirements) {
    const auto guess = recognise_os("Win11");
    ASSERT_TRUE(guess);
    EXPECT_TRUE(guess->needs_uefi);
    EXPECT_GE(guess->memory_mib, 4096u);
    EXPECT_GE(guess->disk_gib, 64u);
}

TEST(OsCatalogue, very_long_text_is_cut) {
    EXPECT_FALSE(recognise_os(std::string(1 << 20, 'a') + " debian 12"));
}

}  // namespace
}  // namespace skep
