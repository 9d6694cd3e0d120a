// SPDX-License-Identifier: GPL-3.0-or-later
// The linker script of fw_cfg: 128-byte little-endian commands that the firmware carries out in order.
#include <cstring>
#include <string_view>

#include "vmm/base/bits.hpp"
#include "vmm/boot/acpi_tables.hpp"

namespace skep::acpi {
namespace {

constexpr std::string_view k_rsdp_file = "etc/acpi/rsdp";
constexpr std::string_view k_tables_file = "etc/acpi/tables";
constexpr size_t k_command_bytes = 128;
constexpr size_t k_name_bytes = 56;
constexpr uint32_t k_allocate = 1, k_add_pointer = 2, k_add_checksum = 3;
constexpr uint8_t k_zone_high = 1, k_zone_f_segment = 2;

std::string_view file_of(Blob blob) {
    return blob == Blob::rsdp ? k_rsdp_file : k_tables_file;
}

class Script {
  public:
    void allocate(std::string_view file, uint32_t alignment, uint8_t zone) {
        std::byte* command = add(k_allocate);
        put_name(command + 4, file);
        store_le(command + 4 + k_name_bytes, alignment);
        store_le(command + 8 + k_name_bytes, zone);
    }
    void add_pointer(std::string_view in, std::string_view to, uint32_t offset, uint8_t size) {
        std::byte* command = add(k_add_pointer);
        put_name(command + 4, in);
        put_name(command + 4 + k_name_bytes, to);
        store_le(command + 4 + 2 * k_name_bytes, offset);
        store_le(command + 8 + 2 * k_name_bytes, size);
    }
    void add_checksum(std::string_view file, const Checksum& checksum) {
        std::byte* command = add(k_add_checksum);
        put_name(command + 4, file);
        store_le(command + 4 + k_name_bytes, checksum.offset);
        store_le(command + 8 + k_name_bytes, checksum.start);
        store_le(command + 12 + k_name_bytes, checksum.length);
    }
    [[nodiscard]] std::vector<std::byte> take() { return std::move(m_bytes); }

  private:
    std::byte* add(uint32_t command) {
        m_bytes.resize(m_bytes.size() + k_command_bytes);
        std::byte* start = m_bytes.data() + m_bytes.size() - k_command_bytes;
        store_le(start, command);
        return start;
    }
    static void put_name(std::byte* to, std::string_view name) { std::memcpy(to, name.data(), name.size()); }

    std::vector<std::byte> m_bytes;
};

}  // namespace

std::vector<std::byte> table_loader_script(const Tables& tables) {
    Script script;
    script.allocate(k_rsdp_file, k_rsdp_alignment, k_zone_f_segment);
    script.allocate(k_tables_file, k_tables_alignment, k_zone_high);
    for (const Pointer& pointer : tables.pointers) {
        script.add_pointer(file_of(pointer.where), k_tables_file, pointer.offset, pointer.size);
    }
    for (const Checksum& checksum : tables.checksums) {
        script.add_checksum(file_of(checksum.where), checksum);
    }
    return script.take();
}

}  // namespace skep::acpi
