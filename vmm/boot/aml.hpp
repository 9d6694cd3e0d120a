// SPDX-License-Identifier: GPL-3.0-or-later
// AML, the byte code of ACPI tables, built from C++ expressions. After ACPI 6.4, chapter 20 (grammar and encoding).
// Every function gives one encoded term; terms nest:  device("COM1", {name("_HID", eisa_id("PNP0501")), ...})
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace skep::acpi {

struct Term {
    std::vector<std::byte> bytes;
};
using Terms = std::vector<Term>;

// --- names (20.2.2). Segments of up to four characters A-Z 0-9 _, joined by '.', '\' in front for the root.
[[nodiscard]] Term path(std::string_view name);

// --- constants (20.2.3)
[[nodiscard]] Term integer(uint64_t value);
[[nodiscard]] Term string(std::string_view ascii);
[[nodiscard]] Term buffer(const std::vector<std::byte>& content);
[[nodiscard]] Term package(const Terms& elements);  // at most 255
[[nodiscard]] Term eisa_id(std::string_view id);    // "PNP0501"; its compressed 32-bit form (19.3.4)
// "33DB4D5B-1FF7-401C-9657-7441C03DD766" as the 16-byte buffer of ToUUID (19.6.142).
[[nodiscard]] Term uuid(std::string_view text);

// --- objects (20.2.5)
enum class Serialize { no, yes };
enum class RegionSpace : uint8_t { memory = 0, io = 1, pci_config = 2 };
enum class FieldAccess : uint8_t { any = 0, byte = 1, word = 2, dword = 3 };
struct FieldUnit {
    std::string_view name;  // empty: bits left out
    unsigned bits = 8;
};

[[nodiscard]] Term scope(std::string_view where, const Terms& body);
[[nodiscard]] Term device(std::string_view name, const Terms& body);
[[nodiscard]] Term name(std::string_view name, const Term& value);
[[nodiscard]] Term method(std::string_view name, unsigned arguments, Serialize serialize, const Terms& body);
[[nodiscard]] Term operation_region(std::string_view name, RegionSpace space, const Term& offset, const Term& length);
[[nodiscard]] Term field(std::string_view region, FieldAccess access,
                         const std::vector<FieldUnit>& units);  // preserves
[[nodiscard]] Term create_word_field(const Term& source, const Term& byte_offset, std::string_view name);
[[nodiscard]] Term create_dword_field(const Term& source, const Term& byte_offset, std::string_view name);

// --- expressions and statements (20.2.5.3, 20.2.5.4)
[[nodiscard]] Term local(unsigned index);     // 0..7
[[nodiscard]] Term argument(unsigned index);  // 0..6
[[nodiscard]] Term store(const Term& value, const Term& target);
// The result is also stored in `target` unless that is the null name.
[[nodiscard]] Term bit_and(const Term& left, const Term& right, const Term& target = path(""));
[[nodiscard]] Term bit_or(const Term& left, const Term& right, const Term& target = path(""));
[[nodiscard]] Term subtract(const Term& left, const Term& right, const Term& target = path(""));
[[nodiscard]] Term shift_left(const Term& value, const Term& count, const Term& target = path(""));
[[nodiscard]] Term find_set_right_bit(const Term& value, const Term& target);  // 1 = bit 0; 0 = none
[[nodiscard]] Term equal(const Term& left, const Term& right);
[[nodiscard]] Term logical_not(const Term& value);
[[nodiscard]] Term when(const Term& condition, const Terms& body);
[[nodiscard]] Term otherwise(const Terms& body);  // right after when()
[[nodiscard]] Term give_back(const Term& value);  // Return

// --- resource templates (6.4)
class Resources {
  public:
    Resources& io(uint16_t start, uint8_t count);               // IO (Decode16), fixed
    Resources& irq(uint8_t line);                               // IRQNoFlags: edge, active high
    Resources& shared_irqs(uint16_t line_mask);                 // IRQ (Level, ActiveLow, Shared)
    Resources& interrupt(uint32_t gsi);                         // extended: level, active low, shared
    Resources& memory32(uint32_t start, uint32_t size);         // Memory32Fixed (ReadWrite)
    Resources& bus_window(uint16_t first, uint16_t last);       // WordBusNumber, producer
    Resources& io_window(uint16_t first, uint16_t last);        // WordIO, producer, entire range
    Resources& memory_window32(uint32_t first, uint32_t last);  // DWordMemory, producer, not cacheable
    Resources& memory_window64(uint64_t first, uint64_t last);  // QWordMemory, producer, cacheable
    [[nodiscard]] Term term() const;                            // the buffer, with its end tag

  private:
    template <typename T>
    Resources& put(T value);
    std::vector<std::byte> m_bytes;
};

}  // namespace skep::acpi
