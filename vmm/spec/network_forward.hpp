// SPDX-License-Identifier: GPL-3.0-or-later
// What vm.yaml says about networks: new cards, what they are connected to, port forwards and MAC addresses.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/spec/vm_spec.hpp"

namespace skep {

enum class ForwardProtocol { tcp, udp };

// A port of the host that leads into the guest. Written "[HOST:]PORT:[GUEST:]PORT[/tcp|/udp]", with IPv6 addresses in
// brackets: "2222:22", "0.0.0.0:80:10.0.2.15:80", "[::1]:53:[fec0::15]:53/udp".
struct NetworkForward {
    ForwardProtocol protocol = ForwardProtocol::tcp;
    std::string host_address = "127.0.0.1";  // numeric, IPv4 or IPv6
    uint16_t host_port = 0;                  // 1..65535
    std::string guest_address;               // of the host address's family; empty (IPv4): the first one that DHCP gives away
    uint16_t guest_port = 0;

    // Whether both would listen at the same place.
    [[nodiscard]] bool same_place(const NetworkForward& other) const {
        return protocol == other.protocol && host_address == other.host_address && host_port == other.host_port;
    }
    bool operator==(const NetworkForward&) const = default;
};

// The sentence of a failure names the text.
[[nodiscard]] Result<NetworkForward> parse_forward(std::string_view text);
// Reads back as the same; what is usual is left out.
[[nodiscard]] std::string print_forward(const NetworkForward& forward);

// Why a card's `network` names none for its back end, one sentence; empty when it does. A private network's name is 1 to 32
// letters, digits, '-' and '_'; an interface's up to 15 characters.
[[nodiscard]] std::string network_name_problem(const NetworkSpec& network);

// What its cable ends in, for people: "private network 'lab'".
[[nodiscard]] std::string describe_connection(const NetworkSpec& network);

// One more card as new machines have it: virtio, on the host's network by address translation. The id is a free one.
NetworkSpec& add_network(VmSpec& spec);

using MacAddress = std::array<uint8_t, 6>;
// Six bytes in hexadecimal, joined by ':'. No group address and not zero: no card has such a one.
[[nodiscard]] Result<MacAddress> parse_mac(std::string_view text);
[[nodiscard]] std::string print_mac(const MacAddress& mac);
// The card's own address, or 52:54:00 and three bytes that follow from the ids. The network's mac must be valid.
[[nodiscard]] MacAddress effective_mac(const VmSpec& spec, const NetworkSpec& network);

}  // namespace skep
