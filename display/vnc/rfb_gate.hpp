// SPDX-License-Identifier: GPL-3.0-or-later
// What a viewer may say (RFC 6143 section 7.5, the community's rfbproto for the extensions): its messages are measured
// before the library sees them, so that the library is only ever given whole messages of the few kinds that a guest
// screen needs. Everything else ends the connection: no file transfer, no chat, no scaling, no clipboard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace skep {

struct GatedMessage {
    enum class Verdict : uint8_t {
        incomplete,  // wait for `length` bytes
        library,     // a whole message for the library
        extended_key,
        desktop_size,
        cut_text,  // only its header of `length` bytes; `skip` bytes of text follow
        refused,
    };
    Verdict verdict = Verdict::incomplete;
    size_t length = 1;
    size_t skip = 0;
};

inline constexpr uint8_t k_message_set_encodings = 2;
inline constexpr size_t k_most_encodings = 1024;
inline constexpr size_t k_most_cut_text = 16 << 20;  // more is nobody's clipboard
// No message that is not refused needs more bytes to be judged and, the clipboard's text left out, to be whole.
inline constexpr size_t k_longest_message = 4 + 4 * k_most_encodings;

// Judges the message at the start of what has arrived.
[[nodiscard]] GatedMessage gate_message(std::span<const uint8_t> arrived);

struct ExtendedKey {
    bool down = false;
    uint32_t keysym = 0;
    uint32_t code = 0;  // as key_of_qemu_code()
};
[[nodiscard]] ExtendedKey parse_extended_key(std::span<const uint8_t> message);

struct WantedSize {
    uint32_t width = 0;
    uint32_t height = 0;
    unsigned screens = 0;  // none: the message is to be ignored
};
[[nodiscard]] WantedSize parse_desktop_size(std::span<const uint8_t> message);

// Of a SetEncodings message: those that are offered, in the viewer's order.
struct OfferedEncodings {
    int32_t preferred = 0;  // Raw when the viewer names none that is offered
    bool extended_key = false;
    bool pointer_motion = false;  // QEMU's: the viewer can send ways instead of places
};
[[nodiscard]] OfferedEncodings parse_encodings(std::span<const uint8_t> message);

}  // namespace skep
