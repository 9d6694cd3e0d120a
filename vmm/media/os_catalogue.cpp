// SPDX-License-Identifier: GPL-3.0-or-later
// Volume ids as the projects' own media carry them, 2020-2025; ids as osinfo-db forms them; sizes after each system's
// stated requirements, rounded up to what is comfortable.
#include "vmm/media/os_catalogue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

namespace skep {
namespace {

// How much of a version number the id and the name carry.
enum class Version { none, major, major_minor };
enum class Purpose { install, live, rescue };  // rescue: wants no disk

struct Entry {
    std::string_view words;  // in this order in the text, each the start of a word there; '=' in front: the whole word
    std::string_view id;
    std::string_view name;
    Version version = Version::none;
    unsigned memory_mib = 2048;
    unsigned disk_gib = 20;
    unsigned cpus = 2;
    Purpose purpose = Purpose::install;
    std::string_view variant = {};  // in brackets behind the name
    bool needs_uefi = false;
};

constexpr auto k_major = Version::major;
constexpr auto k_minor = Version::major_minor;
constexpr auto k_none = Version::none;
constexpr auto k_live = Purpose::live;
constexpr auto k_rescue = Purpose::rescue;
constexpr auto k_install = Purpose::install;

// The first entry whose words are all there wins, so the particular comes before the general.
// clang-format off: one system a line
constexpr Entry k_catalogue[] = {
    // Debian and what is made of it
    {"=d live", "debian", "Debian", k_major, 2048, 20, 2, k_live, "live"},
    {"debian live", "debian", "Debian", k_major, 2048, 20, 2, k_live, "live"},
    {"debian netinst", "debian", "Debian", k_major, 1024, 20, 2, k_install, "network installer"},
    {"debian =n", "debian", "Debian", k_major, 1024, 20, 2, k_install, "network installer"},
    {"debian dvd", "debian", "Debian", k_major, 1024, 20, 2, k_install, "DVD"},
    {"debian =1", "debian", "Debian", k_major, 1024, 20, 2, k_install, "DVD"},
    {"debian", "debian", "Debian", k_major, 1024, 20},
    {"lmde", "lmde", "LMDE", k_major, 2048, 25, 2, k_live},
    {"linux mint", "linuxmint", "Linux Mint", k_minor, 2048, 25, 2, k_live},
    {"linuxmint", "linuxmint", "Linux Mint", k_minor, 2048, 25, 2, k_live},
    {"pop os", "popos", "Pop!_OS", k_minor, 4096, 25, 2, k_live},
    {"elementary", "elementary", "elementary OS", k_minor, 4096, 32, 2, k_live},
    {"zorin", "zorin", "Zorin OS", k_major, 2048, 25, 2, k_live},
    {"ubuntu server", "ubuntu", "Ubuntu Server", k_minor, 2048, 20},
    {"kubuntu", "ubuntu", "Kubuntu", k_minor, 4096, 25, 2, k_live},
    {"xubuntu", "ubuntu", "Xubuntu", k_minor, 2048, 25, 2, k_live},
    {"lubuntu", "ubuntu", "Lubuntu", k_minor, 2048, 25, 2, k_live},
    {"ubuntu", "ubuntu", "Ubuntu", k_minor, 4096, 25, 2, k_live},
    {"kali", "kali", "Kali Linux", k_none, 2048, 25},
    {"tails", "tails", "Tails", k_minor, 2048, 0, 2, k_rescue},
    {"mx live", "mx", "MX Linux", k_none, 2048, 20, 2, k_live},
    {"antix", "antix", "antiX", k_none, 1024, 12, 2, k_live},
    {"pve", "proxmox-ve", "Proxmox VE", k_none, 4096, 32},
    {"clonezilla", "clonezilla", "Clonezilla", k_none, 1024, 0, 2, k_rescue},
    {"gparted", "gparted", "GParted Live", k_none, 1024, 0, 2, k_rescue},
    // Fedora and the Red Hat family
    {"fedora live", "fedora", "Fedora", k_major, 4096, 25, 2, k_live, "live"},
    {"fedora =ws", "fedora", "Fedora Workstation", k_major, 4096, 25, 2, k_live, "live"},
    {"fedora =s", "fedora", "Fedora Server", k_major, 2048, 25},
    {"fedora coreos", "fedora-coreos-stable", "Fedora CoreOS", k_major, 2048, 16},
    {"fedora", "fedora", "Fedora", k_major, 2048, 25},
    {"rocky", "rocky", "Rocky Linux", k_major, 2048, 20},
    {"almalinux", "almalinux", "AlmaLinux", k_major, 2048, 20},
    {"centos stream", "centos-stream", "CentOS Stream", k_major, 2048, 20},
    {"centos", "centos", "CentOS", k_major, 2048, 20},
    {"rhel", "rhel", "Red Hat Enterprise Linux", k_major, 2048, 20},
    {"=ol baseos", "ol", "Oracle Linux", k_major, 2048, 20},
    {"oraclelinux", "ol", "Oracle Linux", k_major, 2048, 20},
    // SUSE
    {"opensuse leap", "opensuse", "openSUSE Leap", k_minor, 2048, 40},
    {"opensuse tumbleweed", "opensusetumbleweed", "openSUSE Tumbleweed", k_none, 2048, 40},
    {"opensuse", "opensuse", "openSUSE", k_minor, 2048, 40},
    {"=sle", "sle", "SUSE Linux Enterprise", k_major, 2048, 40},
    // Others with Linux
    {"alpine", "alpinelinux", "Alpine Linux", k_minor, 512, 4, 1},
    {"arch", "archlinux", "Arch Linux", k_none, 1024, 20},
    {"endeavouros", "endeavouros", "EndeavourOS", k_none, 4096, 25, 2, k_live},
    {"=eos", "endeavouros", "EndeavourOS", k_none, 4096, 25, 2, k_live},
    {"manjaro", "manjaro", "Manjaro", k_none, 4096, 30, 2, k_live},
    {"nixos minimal", "nixos-", "NixOS", k_minor, 2048, 20, 2, k_install, "minimal"},
    {"nixos", "nixos-", "NixOS", k_minor, 4096, 25, 2, k_live},
    {"gentoo", "gentoo", "Gentoo", k_none, 4096, 40},
    {"void", "voidlinux", "Void Linux", k_none, 1024, 20, 2, k_live},
    {"slackware", "slackware", "Slackware", k_none, 1024, 20},
    {"slackdvd", "slackware", "Slackware", k_none, 1024, 20},
    {"tinycore", "tinycore", "Tiny Core Linux", k_none, 256, 2, 1, k_live},
    {"systemrescue", "systemrescue", "SystemRescue", k_none, 2048, 0, 2, k_rescue},
    {"=rescue1", "systemrescue", "SystemRescue", k_none, 2048, 0, 2, k_rescue},
    // BSD
    {"release amd64", "freebsd", "FreeBSD", k_minor, 1024, 20},
    {"release i386", "freebsd", "FreeBSD", k_minor, 512, 20},
    {"freebsd", "freebsd", "FreeBSD", k_minor, 1024, 20},
    {"ghostbsd", "ghostbsd", "GhostBSD", k_none, 4096, 25, 2, k_live},
    {"openbsd", "openbsd", "OpenBSD", k_minor, 512, 20, 1},
    {"netbsd", "netbsd", "NetBSD", k_minor, 512, 20, 1},
    {"dragonfly", "dragonflybsd", "DragonFly BSD", k_minor, 1024, 20},
    // Windows; the volume ids of 10 and 11 are the same, the file's name tells
    {"virtio win", "virtio-win", "virtio drivers for Windows", k_none, 2048, 0, 2, k_rescue},
    {"win11", "win11", "Windows 11", k_none, 4096, 64, 2, k_install, {}, true},
    {"windows 11", "win11", "Windows 11", k_none, 4096, 64, 2, k_install, {}, true},
    {"win10", "win10", "Windows 10", k_none, 4096, 40},
    {"windows 10", "win10", "Windows 10", k_none, 4096, 40},
    {"=sss x64", "win2k22", "Windows Server", k_none, 4096, 40},
    {"cccoma x64", "win10", "Windows 10 or 11", k_none, 4096, 64},
    {"cpba x64", "win10", "Windows 10 or 11", k_none, 4096, 64},
    {"ccsa x64", "win10", "Windows 10 or 11", k_none, 4096, 64},
    {"=esd iso", "win10", "Windows 10 or 11", k_none, 4096, 64},
    // Tools
    {"mt86plus", "memtest86+", "Memtest86+", k_none, 256, 0, 1, k_rescue},
    {"memtest86", "memtest86+", "Memtest86+", k_none, 256, 0, 1, k_rescue},
    {"ipxe", "ipxe", "iPXE", k_none, 512, 0, 1, k_rescue},
    {"grub rescue", "grub", "GRUB rescue disk", k_none, 256, 0, 1, k_rescue},
};
// clang-format on

// Runs of letters, digits and dots, in lower case: "x86_64" stays together, so that its digits are no version.
std::vector<std::string> words_of(std::string_view text) {
    std::vector<std::string> words(1);
    for (const char raw : text) {
        const char c = static_cast<char>(std::tolower(static_cast<unsigned char>(raw)));
        if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '+') {
            words.back().push_back(c);
        } else if (!words.back().empty()) {
            words.emplace_back();
        }
    }
    return words;
}

bool matches(const std::vector<std::string>& words, std::string_view wanted) {
    size_t at = 0;
    while (!wanted.empty()) {
        const size_t blank = std::min(wanted.find(' '), wanted.size());
        std::string_view word = wanted.substr(0, blank);
        wanted.remove_prefix(std::min(blank + 1, wanted.size()));
        const bool whole = word.front() == '=';
        word.remove_prefix(whole ? 1 : 0);
        while (at < words.size() && !(whole ? words[at] == word : words[at].starts_with(word))) {
            ++at;
        }
        if (at++ >= words.size()) {
            return false;
        }
    }
    return true;
}

struct Found {
    std::string major, minor;
};

bool all_digits(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The first word that is a number below 1000 ("12", "12.5.0", "7.4"): larger ones are dates. A separate number behind a
// whole one is its minor part ("14_0_RELEASE", "Rocky-9-3").
Found version_in(const std::vector<std::string>& words) {
    for (size_t i = 0; i < words.size(); ++i) {
        const size_t dot = std::min(words[i].find('.'), words[i].size());
        const std::string major = words[i].substr(0, dot);
        const bool after_x86 = i > 0 && words[i - 1] == "x86";  // the 64 of x86_64
        if (!all_digits(major) || major.size() > 3 || after_x86) {
            continue;
        }
        std::string minor = dot < words[i].size() ? words[i].substr(dot + 1) : "";
        minor = minor.substr(0, minor.find('.'));
        if (dot == words[i].size() && i + 1 < words.size() && all_digits(words[i + 1]) && words[i + 1].size() <= 2) {
            minor = words[i + 1];
        }
        return {major, all_digits(minor) ? minor : ""};
    }
    return {};
}

std::string version_text(const Entry& entry, const Found& found) {
    if (entry.version == Version::none || found.major.empty()) {
        return {};
    }
    const bool with_minor = entry.version == Version::major_minor && !found.minor.empty();
    return with_minor ? found.major + "." + found.minor : found.major;
}

OsGuess guess_of(const Entry& entry, const std::string& version) {
    OsGuess guess;
    guess.id = std::string(entry.id) + version;
    guess.vm_name = version.empty() ? std::string(entry.name) : fmt::format("{} {}", entry.name, version);
    guess.name = entry.variant.empty() ? guess.vm_name : fmt::format("{} ({})", guess.vm_name, entry.variant);
    guess.confidence = entry.version != Version::none && version.empty() ? Confidence::likely : Confidence::certain;
    guess.memory_mib = entry.memory_mib;
    guess.disk_gib = entry.disk_gib;
    guess.cpus = entry.cpus;
    guess.needs_disk = entry.purpose != Purpose::rescue;
    guess.needs_uefi = entry.needs_uefi;
    return guess;
}

}  // namespace

std::optional<OsGuess> recognise_os(std::string_view text) {
    constexpr size_t k_longest = 512;
    const std::vector<std::string> words = words_of(text.substr(0, k_longest));
    for (const Entry& entry : k_catalogue) {
        if (matches(words, entry.words)) {
            return guess_of(entry, version_text(entry, version_in(words)));
        }
    }
    return std::nullopt;
}

}  // namespace skep
