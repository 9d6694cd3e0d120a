// SPDX-License-Identifier: GPL-3.0-or-later
// Sizes as people write and read them; powers of 1024 only.
#include <array>
#include <charconv>
#include <cmath>

#include "vmm/spec/spec_fields.hpp"

namespace skep {
namespace {

constexpr std::string_view k_units = "KMGTP";

// "", "B", "K", "KB", "KiB" (any case) to the power of 1024; -1 when it is no unit.
int unit_power(std::string_view unit) {
    std::string upper;
    for (const char character : unit) {
        upper += character >= 'a' && character <= 'z' ? static_cast<char>(character - 32) : character;
    }
    if (upper == "B") {
        return 0;
    }
    const size_t power = upper.empty() ? std::string_view::npos : k_units.find(upper[0]);
    if (power == std::string_view::npos) {
        return -1;
    }
    const std::string_view rest = std::string_view(upper).substr(1);
    return rest.empty() || rest == "B" || rest == "IB" ? static_cast<int>(power) + 1 : -1;
}

}  // namespace

Result<uint64_t> parse_size(std::string_view text, uint64_t bare_unit) {
    const auto not_a_size = [&] {
        return fail(ErrorKind::invalid_input, "'{}' is not a size; write for example 512M or 20G.", text);
    };
    uint64_t whole = 0;
    const char* const end_of_text = text.data() + text.size();
    auto [at, error] = std::from_chars(text.data(), end_of_text, whole);
    if (error != std::errc{}) {
        return not_a_size();
    }
    double fraction = 0;
    if (at != end_of_text && *at == '.') {
        double scale = 0.1;
        const char* const digits = ++at;
        for (; at != end_of_text && *at >= '0' && *at <= '9'; ++at, scale /= 10) {
            fraction += (*at - '0') * scale;
        }
        if (at == digits) {
            return not_a_size();
        }
    }
    while (at != end_of_text && *at == ' ') {
        ++at;
    }
    uint64_t unit = bare_unit;
    if (at != end_of_text) {
        const int power = unit_power(std::string_view(at, static_cast<size_t>(end_of_text - at)));
        if (power < 0) {
            return not_a_size();
        }
        unit = uint64_t{1} << (10 * power);
    }
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(whole, unit, &bytes) || bytes > (uint64_t{1} << 62)) {
        return fail(ErrorKind::invalid_input, "'{}' is too large a size.", text);
    }
    return bytes + static_cast<uint64_t>(std::llround(fraction * static_cast<double>(unit)));
}

std::string print_size(uint64_t bytes) {
    size_t power = 0;
    while (power < k_units.size() && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        ++power;
    }
    return power == 0 ? fmt::format("{}", bytes) : fmt::format("{}{}", bytes, k_units[power - 1]);
}

std::string describe_size(uint64_t bytes) {
    auto value = static_cast<double>(bytes);
    size_t power = 0;
    while (power < k_units.size() && value >= 1024) {
        value /= 1024;
        ++power;
    }
    if (power == 0) {
        return fmt::format("{} bytes", bytes);
    }
    const bool whole = value >= 100 || std::abs(value - std::round(value)) < 0.05;
    return fmt::format("{:.{}f} {}iB", value, whole ? 0 : 1, k_units[power - 1]);
}

}  // namespace skep
