// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/network_forward.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "vmm/base/fnv.hpp"

namespace skep {
namespace {

constexpr std::string_view k_default_host = "127.0.0.1";

bool is_ipv6(const std::string& address) { return address.find(':') != std::string::npos; }

bool is_address(const std::string& text) {
    std::array<uint8_t, 16> bytes{};
    return inet_pton(is_ipv6(text) ? AF_INET6 : AF_INET, text.c_str(), bytes.data()) == 1;
}

std::optional<uint16_t> port_of(std::string_view text) {
    uint32_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    const bool good = error == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
    return good ? std::optional(static_cast<uint16_t>(port)) : std::nullopt;
}

// Takes a word up to the next ':' off the front; one in brackets may hold colons itself.
std::string_view take_word(std::string_view& text) {
    size_t end = std::min(text.find(':'), text.size());
    std::string_view word = text.substr(0, end);
    if (text.starts_with('[')) {
        const size_t close = std::min(text.find(']'), text.size());
        word = text.substr(1, close - 1);
        end = std::min(text.find(':', close), text.size());
    }
    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

// An address may come before the port; true when a port was found.
bool take_place(std::string_view& text, std::string& address, uint16_t& port) {
    std::string_view word = take_word(text);
    auto number = port_of(word);
    if (!number) {
        address = std::string(word);
        if (!is_address(address)) {
            return false;
        }
        word = take_word(text);
        number = port_of(word);
    }
    port = number.value_or(0);
    return number.has_value();
}

std::string bracketed(const std::string& address) { return is_ipv6(address) ? "[" + address + "]" : address; }

}  // namespace

Result<NetworkForward> parse_forward(std::string_view text) {
    NetworkForward forward;
    std::string_view rest = text;
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string_view protocol = rest.substr(std::min(slash + 1, rest.size()));
    rest = rest.substr(0, slash);
    forward.protocol = protocol == "udp" ? ForwardProtocol::udp : ForwardProtocol::tcp;
    const bool well_formed = (protocol.empty() || protocol == "tcp" || protocol == "udp") &&
                             take_place(rest, forward.host_address, forward.host_port) &&
                             take_place(rest, forward.guest_address, forward.guest_port) && rest.empty();
    if (!well_formed) {
        return fail(ErrorKind::invalid_input,
                    "'{}' is no port forward: write HOST-PORT:GUEST-PORT, such as 2222:22 or 0.0.0.0:5353:53/udp.", text);
    }
    if (is_ipv6(forward.guest_address) != is_ipv6(forward.host_address)) {
        return fail(ErrorKind::invalid_input,
                    "'{}' is no port forward: from an IPv6 address it leads to an IPv6 address of the guest, which must be "
                    "named, and from IPv4 to IPv4.", text);
    }
    return forward;
}

std::string print_forward(const NetworkForward& forward) {
    const std::string host = forward.host_address == k_default_host ? "" : bracketed(forward.host_address) + ":";
    const std::string guest = forward.guest_address.empty() ? "" : bracketed(forward.guest_address) + ":";
    return fmt::format("{}{}:{}{}{}", host, forward.host_port, guest, forward.guest_port,
                       forward.protocol == ForwardProtocol::udp ? "/udp" : "");
}

std::string network_name_problem(const NetworkSpec& network) {
    const std::string& name = network.network;
    const auto is_plain = [](char character) {
        return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
               (character >= '0' && character <= '9') || character == '-' || character == '_';
    };
    if (network.backend == NetworkBackend::socket) {
        if (name.empty()) {
            return fmt::format("The card '{}' is on a private network without a name; give it one, such as lab.", network.id);
        }
        const bool good = name.size() <= 32 && std::ranges::all_of(name, is_plain);
        return good ? "" : fmt::format("'{}' is no name of a private network: use up to 32 letters, digits, '-' and '_'.", name);
    }
    if (network.backend != NetworkBackend::tap) {
        return {};
    }
    if (name.empty()) {
        return fmt::format("The card '{}' is to be connected to a tap or bridge; name one of this host, such as br0.", network.id);
    }
    // As the kernel has it (dev_valid_name()).
    const bool good = name.size() <= 15 && name != "." && name != ".." && std::ranges::none_of(name, [](char character) {
        return character == '/' || character == ':' || static_cast<unsigned char>(character) <= 0x20 || character == 0x7f;
    });
    return good ? "" : fmt::format("'{}' is no name of a network interface.", name);
}

std::string describe_connection(const NetworkSpec& network) {
    switch (network.backend) {
        case NetworkBackend::user: return network.restricted ? "this computer's network, cut off" : "this computer's network";
        case NetworkBackend::socket: return fmt::format("private network '{}'", network.network);
        case NetworkBackend::tap: return fmt::format("'{}' of this computer", network.network);
        case NetworkBackend::none: break;
    }
    return "connected to nothing";
}

NetworkSpec& add_network(VmSpec& spec) {
    std::string id = spec.free_id("net");
    NetworkSpec& network = spec.networks.emplace_back();
    network.id = std::move(id);
    return network;
}

Result<MacAddress> parse_mac(std::string_view text) {
    MacAddress mac{};
    bool good = text.size() == 17;
    for (size_t index = 0; good && index < mac.size(); ++index) {
        const char* const at = text.data() + index * 3;
        const auto [end, error] = std::from_chars(at, at + 2, mac[index], 16);
        good = error == std::errc{} && end == at + 2 && (index == 5 || at[2] == ':');
    }
    if (!good || (mac[0] & 1) != 0 || mac == MacAddress{}) {
        return fail(ErrorKind::invalid_input,
                    "'{}' is no MAC address of a card: write six bytes such as 52:54:00:12:34:56, the first of them even.", text);
    }
    return mac;
}

std::string print_mac(const MacAddress& mac) { return fmt::format("{:02x}", fmt::join(mac, ":")); }

MacAddress effective_mac(const VmSpec& spec, const NetworkSpec& network) {
    if (!network.mac.empty()) {
        return parse_mac(network.mac).value_or(MacAddress{0x52, 0x54, 0, 0, 0, 1});
    }
    uint64_t hash = fnv1a(spec.id + "/" + network.id);
    hash ^= hash >> 32;
    return {0x52, 0x54, 0, static_cast<uint8_t>(hash >> 16), static_cast<uint8_t>(hash >> 8), static_cast<uint8_t>(hash)};
}

}  // namespace skep
