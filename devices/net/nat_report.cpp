// SPDX-License-Identifier: GPL-3.0-or-later
#include "devices/net/nat_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace skep {
namespace {

std::string_view take_word(std::string_view& line) {
    const size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    return word;
}

uint64_t take_number(std::string_view& line) {
    const std::string_view word = take_word(line);
    uint64_t value = 0;
    std::from_chars(word.data(), word.data() + word.size(), value);
    return value;
}

std::string take_text(std::string_view& line) {
    constexpr size_t k_longest = 300;
    std::string text(take_word(line).substr(0, k_longest));
    std::erase_if(text, [](char character) { return character <= ' ' || character >= 0x7f; });
    return text == "-" ? "" : text;
}

const std::string& or_dash(const std::string& text) {
    static const std::string dash = "-";
    return text.empty() ? dash : text;
}

}  // namespace

std::string print_report(const NatReport& report) {
    std::string text = fmt::format("ever {}\n", report.connections_ever);
    for (const auto& name : report.names) {
        text += fmt::format("name {} {} {}\n", name.count, or_dash(name.name), or_dash(name.addresses));
    }
    for (const auto& one : report.connections) {
        text += fmt::format("flow {} {} {} {} {} {}\n", one.protocol, one.guest, one.remote, one.bytes_sent,
                            one.bytes_received, one.open ? 1 : 0);
    }
    return text;
}

NatReport parse_report(std::string_view text) {
    NatReport report;
    while (!text.empty()) {
        const size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::string_view kind = take_word(line);
        if (kind == "ever") {
            report.connections_ever = take_number(line);
        } else if (kind == "name" && report.names.size() < NatReport::k_most_names) {
            NatReport::Name name;
            name.count = take_number(line);
            name.name = take_text(line);
            name.addresses = take_text(line);
            report.names.push_back(std::move(name));
        } else if (kind == "flow" && report.connections.size() < NatReport::k_most_connections) {
            NatReport::Connection one;
            one.protocol = take_text(line);
            one.guest = take_text(line);
            one.remote = take_text(line);
            one.bytes_sent = take_number(line);
            one.bytes_received = take_number(line);
            one.open = take_number(line) != 0;
            report.connections.push_back(std::move(one));
        }
    }
    return report;
}

}  // namespace skep
