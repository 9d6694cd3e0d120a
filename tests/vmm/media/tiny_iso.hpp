// SPDX-License-Identifier: GPL-3.0-or-later
// Builds small ISO 9660 images by hand: one level of folders, optional Rock Ridge names, optional El Torito entries.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/bits.hpp"
#include "vmm/media/byte_source.hpp"

namespace skep::test {

class TinyIso {
  public:
    explicit TinyIso(const std::string& volume_id) : m_volume_id(volume_id) {}

    TinyIso& boot_bios() {
        m_bios = true;
        return *this;
    }
    TinyIso& boot_uefi() {
        m_uefi = true;
        return *this;
    }
    // iso_name: as on disc ("INFO.;1"); rock_ridge: the alternate name or nothing.
    TinyIso& file(const std::string& folder, const std::string& folder_rock_ridge, const std::string& iso_name,
                  const std::string& rock_ridge, const std::string& content) {
        m_folder = folder;
        m_folder_rock_ridge = folder_rock_ridge;
        m_iso_name = iso_name;
        m_rock_ridge = rock_ridge;
        m_content = content;
        return *this;
    }

    [[nodiscard]] std::string image() const {
        std::string out(k_blocks * k_sector, '\0');
        descriptors(out);
        if (m_bios || m_uefi) {
            catalogue(out);
        }
        std::string root = record(1, std::string(1, '\0'), {}, k_root, k_sector);
        if (!m_folder.empty()) {
            root += record(2, m_folder, m_folder_rock_ridge, k_folder, k_sector);
            put(out, k_folder, record(0, m_iso_name, m_rock_ridge, k_content, m_content.size()));
            put(out, k_content, m_content);
        }
        put(out, k_root, root);
        return out;
    }
    static constexpr size_t k_sector = 2048;
    static constexpr size_t k_blocks = 24, k_catalogue = 19, k_root = 20, k_folder = 21, k_content = 22;

  private:
    static void put(std::string& out, size_t sector, const std::string& bytes) {
        out.replace(sector * k_sector, bytes.size(), bytes);
    }
    static std::string record(char flags, const std::string& name, const std::string& rock_ridge, size_t sector,
                              size_t size) {
        std::string bytes(33, '\0');
        store_le<uint32_t>(&bytes[2], static_cast<uint32_t>(sector));
        store_le<uint32_t>(&bytes[10], static_cast<uint32_t>(size));
        bytes[25] = flags;
        bytes[32] = static_cast<char>(name.size());
        bytes += name;
        if (bytes.size() % 2 != 0) {
            bytes.push_back('\0');
        }
        if (!rock_ridge.empty()) {
            bytes += std::string("NM") + static_cast<char>(rock_ridge.size() + 5) + '\1' + '\0' + rock_ridge;
        }
        if (bytes.size() % 2 != 0) {
            bytes.push_back('\0');
        }
        bytes[0] = static_cast<char>(bytes.size());
        return bytes;
    }
    void descriptors(std::string& out) const {
        char* primary = &out[16 * k_sector];
        primary[0] = 1;
        std::memcpy(primary + 1, "CD001", 5);
        std::memset(primary + 40, ' ', 32);
        std::memcpy(primary + 40, m_volume_id.data(), m_volume_id.size());
        store_le<uint32_t>(primary + 80, k_blocks);
        store_le<uint16_t>(primary + 128, k_sector);
        const std::string root = record(2, std::string(1, '\0'), {}, k_root, k_sector);
        std::memcpy(primary + 156, root.data(), root.size());
        char* boot = &out[17 * k_sector];
        std::memcpy(boot + 1, "CD001", 5);
        if (m_bios || m_uefi) {
            std::memcpy(boot + 7, "EL TORITO SPECIFICATION", 23);
            store_le<uint32_t>(boot + 0x47, k_catalogue);
        }
        out[18 * k_sector] = '\xff';
        std::memcpy(&out[18 * k_sector + 1], "CD001", 5);
    }
    void catalogue(std::string& out) const {
        char* at = &out[k_catalogue * k_sector];
        at[0] = 1;
        at[1] = static_cast<char>(m_bios ? 0 : 0xef);
        at[30] = 0x55;
        at[31] = static_cast<char>(0xaa);
        at[32] = static_cast<char>(0x88);
        if (m_bios && m_uefi) {
            at[64] = static_cast<char>(0x91);
            at[65] = static_cast<char>(0xef);
            at[66] = 1;
            at[96] = static_cast<char>(0x88);
        }
    }

    std::string m_volume_id, m_folder, m_folder_rock_ridge, m_iso_name, m_rock_ridge, m_content;
    bool m_bios = false;
    bool m_uefi = false;
};

}  // namespace skep::test
