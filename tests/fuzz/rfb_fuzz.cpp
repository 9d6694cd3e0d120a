// SPDX-License-Identifier: GPL-3.0-or-later
// libFuzzer entry: what a VNC viewer says to the server, with the gate and the library behind it.
//
// The first byte: bit 0 the viewer's handshake is well-formed, bit 1 a password is asked for, bit 2 the viewer falls silent
// where it would hang up. Then a row of operations, one byte each with its operands behind it; what is missing at the end
// reads as zero:
//   0 bytes        {count:1, bytes}               5 pointer      {mask:1, x:2, y:2}
//   1 pixel format {bytes:16}                     6 cut text     {length:4, count:1, bytes}
//   2 encodings    {count:1, choice:1 each}       7 desktop size {width:2, height:2, screens:1, bytes}
//   3 update       {incremental:1, x, y, w, h:2}  8 extended key {submessage:1, down:2, keysym:4, code:4}
//   4 key          {down:1, keysym:4}             9 half of what was said last is said again
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "display/vnc/rfb_gate.hpp"
#include "display/vnc/rfb_session.hpp"
#include "tests/fuzz/device_language.hpp"
#include "vmm/base/log.hpp"

namespace skep {
namespace {

using fuzz::Input;
using Bytes = std::vector<uint8_t>;

constexpr std::chrono::milliseconds k_frame{50};        // no picture takes longer to be due
constexpr std::chrono::milliseconds k_patience{10'001};  // of the server with a viewer that says nothing more
constexpr unsigned k_turns = 3;  // the talk's: what is left when all is said, and then pictures

// Another picture, of another size and with another cursor, at each look.
class Flicker final : public ScreenSource {
  public:
    void refresh(Canvas& canvas) override {
        ++m_looks;
        const uint32_t side = m_looks % 4 == 0 ? 40 : 33;
        Surface* const surface = canvas.surface({side, 24});
        if (surface == nullptr) {
            return;
        }
        for (uint32_t y = 0; y < 24; ++y) {
            std::ranges::fill(surface->row(y), m_looks * 0x10203 + y);
        }
        canvas.damage({0, m_looks % 24, side, 24});
        const uint32_t cursor = m_looks % 3 * 8;
        canvas.set_cursor({.width = cursor, .height = cursor, .hot_x = cursor / 2, .hot_y = 0,
                           .argb = std::vector<uint32_t>(size_t{cursor} * cursor, 0xff00'00ff)});
    }
    bool suggest_size(ScreenSize size) override { return size.width % 2 == 0; }

  private:
    uint32_t m_looks = 0;
};

class Script {
  public:
    void handshake(bool well_formed) {
        if (well_formed) {
            add("RFB 003.008\n");
            add(std::string_view("\x01\x01", 2));
        }
    }
    void step(Input& input) {
        const size_t begin = m_said.size();
        switch (input.take<uint8_t>() % 10) {
            case 0: add(input.take_bytes(input.take<uint8_t>())); break;
            case 1:
                add({0, 0, 0, 0});
                for (int byte = 0; byte < 16; ++byte) {
                    add({input.take<uint8_t>()});
                }
                break;
            case 2: encodings(input); break;
            case 3:
                add({3, input.take<uint8_t>()});
                numbers(input, 8);
                break;
            case 4:
                add({4, input.take<uint8_t>(), 0, 0});
                numbers(input, 4);
                break;
            case 5:
                add({5});
                numbers(input, 5);
                break;
            case 6: {
                add({6, 0, 0, 0});
                numbers(input, 4);
                add(input.take_bytes(input.take<uint8_t>()));
                break;
            }
            case 7: {
                add({251, 0});
                numbers(input, 4);
                const auto screens = input.take<uint8_t>();
                add({screens, 0});
                numbers(input, screens % 32 * 16U);
                break;
            }
            case 8:
                add({255});
                numbers(input, 11);
                break;
            default: {
                const Bytes again(m_said.begin() + static_cast<ptrdiff_t>(m_last), m_said.begin() + static_cast<ptrdiff_t>(begin));
                add(std::span(again).first(again.size() / 2));
            }
        }
        m_last = begin;
    }
    [[nodiscard]] std::span<const uint8_t> said() const { return m_said; }

  private:
    void add(std::span<const uint8_t> bytes) { m_said.insert(m_said.end(), bytes.begin(), bytes.end()); }
    void add(std::initializer_list<uint8_t> bytes) { m_said.insert(m_said.end(), bytes); }
    void add(std::string_view text) { m_said.insert(m_said.end(), text.begin(), text.end()); }
    void numbers(Input& input, size_t count) {
        for (size_t byte = 0; byte < count; ++byte) {
            add({input.take<uint8_t>()});
        }
    }
    void encodings(Input& input) {
        constexpr std::array<int32_t, 16> k_known{0,    1,    2,    5,    6,    7,    16,         15,
                                                  -223, -239, -240, -257, -258, -308, 0x574d5664, -312};
        const auto count = input.take<uint8_t>();
        add({2, 0, 0, count});
        for (unsigned each = 0; each < count; ++each) {
            const auto encoding = static_cast<uint32_t>(k_known[input.take<uint8_t>() % k_known.size()]);
            add({static_cast<uint8_t>(encoding >> 24), static_cast<uint8_t>(encoding >> 16), static_cast<uint8_t>(encoding >> 8),
                 static_cast<uint8_t>(encoding)});
        }
    }

    Bytes m_said;
    size_t m_last = 0;
};

// The gate by itself: what it lets through is whole, and no longer than it says.
void check_gate(std::span<const uint8_t> said) {
    while (!said.empty()) {
        const GatedMessage message = gate_message(said.first(std::min(said.size(), k_longest_message)));
        if (message.verdict == GatedMessage::Verdict::incomplete || message.verdict == GatedMessage::Verdict::refused) {
            if (message.length > k_longest_message) {
                __builtin_trap();
            }
            return;
        }
        if (message.length == 0 || message.length > said.size()) {
            __builtin_trap();
        }
        if (said[0] == k_message_set_encodings) {
            (void)parse_encodings(said.first(message.length));
        }
        said = said.subspan(message.length);
        said = said.subspan(std::min(message.skip, said.size()));
    }
}

// What the server has said is thrown away.
void listen(const Fd& viewer) {
    static std::array<uint8_t, 64 << 10> heard;
    while (recv(viewer.get(), heard.data(), heard.size(), MSG_DONTWAIT) > 0) {
    }
}

void converse(const Script& script, bool with_password, bool hangs_up) {
    static Screen screen;
    static Flicker flicker;
    static InputHub hub;
    screen.set_source(&flicker);
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) {
        __builtin_trap();
    }
    const Fd viewer(pair[1]);
    RfbSession server(screen, hub, {Fd(pair[0]), "fuzz", with_password ? "password" : ""});
    RfbSession::Time now{};
    if (!server.connect(now)) {
        __builtin_trap();
    }
    // Less than the socket holds.
    if (send(viewer.get(), script.said().data(), script.said().size(), MSG_NOSIGNAL) < 0) {
        return;
    }
    for (unsigned turn = 0; turn < k_turns; ++turn) {
        server.turn(now);
        listen(viewer);
        now += k_frame;
    }
    if (hangs_up) {
        shutdown(viewer.get(), SHUT_WR);
    }
    server.turn(now + k_patience);
    if (hangs_up && server.alive()) {
        __builtin_trap();  // nobody is there any more
    }
}

}  // namespace
}  // namespace skep

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace skep;
    set_log_level(LogLevel::error);
    std::signal(SIGPIPE, SIG_IGN);
    fuzz::Input input(data, size);
    const auto kind = input.take<uint8_t>();
    Script script;
    script.handshake((kind & 1) != 0);
    while (!input.empty()) {
        script.step(input);
    }
    const size_t greeting = (kind & 1) != 0 ? 14 : 0;
    check_gate(script.said().subspan(greeting));
    converse(script, (kind & 2) != 0, (kind & 4) == 0);
    return 0;
}
