// SPDX-License-Identifier: GPL-3.0-or-later
// The control protocol's codec: whatever decodes must encode and decode to the same again.
#include <cstdint>
#include <cstdlib>

#include "vmm/control/messages.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace skep;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    LineBuffer buffer;
    if (!buffer.append(text) || !buffer.append("\n")) {
        return 0;
    }
    const std::map<int64_t, MessageType> waiting{{1, MessageType::status}, {2, MessageType::console_open}, {3, MessageType::info}};
    std::string line;
    while (buffer.take_line(line)) {
        if (const auto request = decode_request(line)) {
            const auto again = decode_request(encode_request(*request));
            if (!again || again->type != request->type || again->id != request->id || again->values != request->values) {
                std::abort();  // host-invariant
            }
        }
        if (const auto incoming = decode_from_worker(line, waiting)) {
            if (const auto* event = std::get_if<Message>(&*incoming)) {
                if (!decode_from_worker(encode_event(*event), waiting)) {
                    std::abort();  // host-invariant
                }
            }
        }
    }
    return 0;
}
