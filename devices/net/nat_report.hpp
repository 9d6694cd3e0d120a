// SPDX-License-Identifier: GPL-3.0-or-later
// What goes over a machine's translated network: the names looked up, the connections and their bytes. The process that
// translates writes it as text, the worker reads it; its bytes are hostile there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skep {

struct NatReport {
    struct Name {
        std::string name;       // "www.example.org"; only letters, digits, '-', '_' and '.'
        std::string addresses;  // joined by ','; empty: there is no such name
        uint64_t count = 0;     // how often it was asked for
    };
    struct Connection {
        std::string protocol;  // "tcp", "udp"
        std::string guest;     // "10.0.2.15:40000"
        std::string remote;    // "151.101.2.132:80"
        uint64_t bytes_sent = 0;  // by the guest, with headers
        uint64_t bytes_received = 0;
        bool open = false;
    };
    static constexpr size_t k_most_names = 128;
    static constexpr size_t k_most_connections = 128;

    std::vector<Name> names;              // the youngest last
    std::vector<Connection> connections;  // the youngest last
    uint64_t connections_ever = 0;
};

[[nodiscard]] std::string print_report(const NatReport& report);
// Lines that are none are left out.
[[nodiscard]] NatReport parse_report(std::string_view text);

}  // namespace skep
