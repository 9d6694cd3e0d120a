// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/device/state_io.hpp"

#include <cstring>

namespace skep {
namespace {

constexpr size_t k_bytes_limit = size_t{64} << 20;  // one device never holds more
constexpr uint32_t k_section_mark = 0x54434553;      // "SECT"

}  // namespace

void StateWriter::append(const void* data, size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    m_bytes.insert(m_bytes.end(), from, from + size);
}

void StateWriter::section(std::string_view name, uint16_t version) {
    put(k_section_mark);
    put_string(name);
    put(version);
}

void StateWriter::put_bytes(std::span<const std::byte> data) {
    put(static_cast<uint32_t>(data.size()));
    append(data.data(), data.size());
}

void StateWriter::put_string(std::string_view text) { put_bytes(std::as_bytes(std::span(text.data(), text.size()))); }

uint16_t StateReader::section(std::string_view name, uint16_t newest_known) {
    m_section = name;
    if (get<uint32_t>() != k_section_mark || get_string() != name) {
        fail("section missing");
        return 0;
    }
    const auto version = get<uint16_t>();
    if (version == 0 || version > newest_known) {
        fail(fmt::format("version {} is not known here (newest: {})", version, newest_known));
        return 0;
    }
    return version;
}

std::vector<std::byte> StateReader::get_bytes(size_t size) {
    const auto stored = get<uint32_t>();
    if (!ok() || (size != 0 && stored != size) || stored > k_bytes_limit || stored > m_data.size() - m_position) {
        fail("a field has the wrong length");
        return std::vector<std::byte>(size);
    }
    const auto piece = m_data.subspan(m_position, stored);
    m_position += stored;
    return {piece.begin(), piece.end()};
}

std::string StateReader::get_string() {
    const std::vector<std::byte> raw = get_bytes();
    return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

void StateReader::fail(std::string why) {
    if (m_error.empty()) {
        m_error = m_section + ": " + why;
    }
}

Status StateReader::status() const {
    if (!ok()) {
        return skep::fail(ErrorKind::invalid_input, "The saved state cannot be used: {}.", m_error);
    }
    return {};
}

void StateReader::take(void* to, size_t size) {
    if (!ok() || size > m_data.size() - m_position) {
        fail("it ends too early");
        return;
    }
    std::memcpy(to, m_data.data() + m_position, size);
    m_position += size;
}

}  // namespace skep
