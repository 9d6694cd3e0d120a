// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: what another machine on a private network sends, to a card that understands no offloads, so that everything
// a header asks for is done here. A real end on a real socket; each input is a connection of its own.
//
// Operations, one byte each with their operands behind it, what is missing at the end reads as zero:
//   0 frame  {header:12, bytes:2, data}, a byte in front of the data says how it goes on when it is too short
//   1 text   {bytes:1, data}
//   2 tcp    {flags:1, size:2, bytes:2}: a large segment that is to be cut
//   3 stream {bytes:1, data}: onto the socket as it is
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "devices/net/net_cable.hpp"
#include "devices/net/private_network.hpp"
#include "tests/fuzz/device_language.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

using fuzz::Input;

// Traps on what a card must never be given.
class PlainCard final : public NetCard {
  public:
    size_t frames_arrived(std::span<const NetFrame> frames) override {
        for (const NetFrame& frame : frames) {
            size_t bytes = 0;
            for (const iovec& piece : frame.pieces) {
                bytes += piece.iov_len;
            }
            const bool is_plain = frame.header.flags == 0 && frame.header.gso_type == net::k_gso_none;
            if (!is_plain || bytes != frame.bytes || bytes < net::k_header_bytes || bytes > net::k_most_frame_bytes) {
                __builtin_trap();
            }
        }
        return frames.size();
    }
    void room_made() override {}
    void link_changed() override {}
};

// One for all inputs: an end of the network, and how others reach it.
struct Target {
    Target() {
        set_log_level(LogLevel::error);
        std::string name = "/tmp/skep-fuzz-XXXXXX";
        folder = mkdtemp(name.data());
        cable.set_card(&card);
        network = PrivateNetwork::join(thread, folder, "target").value();
        cable.connect(network);
        address.sun_family = AF_UNIX;
        const std::string path = std::filesystem::directory_iterator(folder)->path().string();
        path.copy(address.sun_path, sizeof address.sun_path - 1);
    }
    ~Target() {
        cable.set_card(nullptr);
        network.reset();
        std::error_code ignored;
        std::filesystem::remove_all(folder, ignored);
    }
    Target(const Target&) = delete;
    Target& operator=(const Target&) = delete;

    NetThread thread;
    PlainCard card;
    NetCable cable{NetCable::Link::up};
    std::shared_ptr<PrivateNetwork> network;
    std::filesystem::path folder;
    sockaddr_un address{};
};

class Stream {
  public:
    void put(const void* data, size_t size) {
        const auto* const bytes = static_cast<const uint8_t*>(data);
        m_bytes.insert(m_bytes.end(), bytes, bytes + size);
    }
    void message(uint32_t kind, size_t bytes) {
        const std::array<uint32_t, 2> words{static_cast<uint32_t>(bytes), kind};
        put(words.data(), sizeof words);
    }
    void frame(const NetHeader& header, const std::vector<uint8_t>& frame) {
        message(0, sizeof header + frame.size());
        put(&header, sizeof header);
        put(frame.data(), frame.size());
    }
    [[nodiscard]] const std::vector<uint8_t>& bytes() const { return m_bytes; }

  private:
    std::vector<uint8_t> m_bytes;
};

std::vector<uint8_t> tcp4(Input& input) {
    const auto flags = input.take<uint8_t>();
    const size_t data = input.take<uint16_t>();
    std::vector<uint8_t> frame(14 + 20 + 20 + std::min<size_t>(data, 65'000));
    frame[12] = 8;
    frame[14] = 0x45;
    frame[16] = static_cast<uint8_t>((frame.size() - 14) >> 8);
    frame[17] = static_cast<uint8_t>(frame.size() - 14);
    frame[23] = 6;
    frame[34 + 12] = 0x50;
    frame[34 + 13] = flags;
    return frame;
}

void step(Input& input, Stream& stream) {
    switch (input.take<uint8_t>() % 4) {
        case 0: {
            const auto header = input.take<NetHeader>();
            const size_t bytes = input.take<uint16_t>();
            const auto filler = input.take<uint8_t>();
            const auto data = input.take_bytes(bytes);
            std::vector<uint8_t> frame(data.begin(), data.end());
            frame.resize(std::max<size_t>(bytes, net::k_header_bytes), filler);
            stream.frame(header, frame);
            break;
        }
        case 1: {
            const auto data = input.take_bytes(input.take<uint8_t>());
            stream.message(1, data.size());
            stream.put(data.data(), data.size());
            break;
        }
        case 2: {
            NetHeader header{.gso_type = net::k_gso_tcp4, .gso_size = input.take<uint16_t>()};
            stream.frame(header, tcp4(input));
            break;
        }
        default: {
            const auto data = input.take_bytes(input.take<uint8_t>());
            stream.put(data.data(), data.size());
        }
    }
}

// Sends all of it and waits for the target to hang up.
void speak(const Target& target, const std::vector<uint8_t>& bytes) {
    const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&target.address), sizeof target.address) != 0) {
        __builtin_trap();
    }
    for (size_t at = 0; at < bytes.size();) {
        const ssize_t sent = send(socket.get(), &bytes[at], bytes.size() - at, MSG_NOSIGNAL);
        if (sent <= 0) {
            break;  // it was cut off
        }
        at += static_cast<size_t>(sent);
    }
    shutdown(socket.get(), SHUT_WR);
    std::array<char, 256> answer{};
    while (recv(socket.get(), answer.data(), answer.size(), 0) > 0) {
    }
}

}  // namespace
}  // namespace skep

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static skep::Target target;
    skep::fuzz::Input input(data, size);
    skep::Stream stream;
    for (unsigned steps = 0; steps < 64 && !input.empty(); ++steps) {
        skep::step(input, stream);
    }
    skep::speak(target, stream.bytes());
    return 0;
}
