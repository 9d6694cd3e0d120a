// SPDX-License-Identifier: GPL-3.0-or-later
// The messages of the control protocol (messages.def) and their codec: one JSON object a line, strictly checked
// against the table. A peer's bytes are hostile: whatever is not in the table is an error that closes the link.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vmm/base/result.hpp"

namespace skep {

inline constexpr int64_t k_protocol_version = 1;
inline constexpr size_t k_max_message_bytes = 1024 * 1024;

enum class MessageType {
#define SKEP_MESSAGE(enumerator, name, kind, since, frozen, help) enumerator,
#include "vmm/control/messages.def"
};

enum class MessageKind { request, event };
enum class MessageFieldType { text, integer, boolean, object };
enum class FieldDirection { call, reply };
enum class Presence { needed, optional };

struct MessageField {
    MessageType message;
    FieldDirection direction;
    std::string_view name;
    MessageFieldType type;
    Presence presence;
    std::string_view help;
};
struct MessageDescriptor {
    MessageType type;
    std::string_view name;
    MessageKind kind;
    int64_t since;
    bool frozen;
    std::string_view help;
};
[[nodiscard]] std::span<const MessageDescriptor> message_table();
[[nodiscard]] std::span<const MessageField> message_fields();
[[nodiscard]] const MessageDescriptor& describe(MessageType type);
// Requests whose reply, when they succeed, brings a file descriptor.
[[nodiscard]] bool brings_descriptor(MessageType type);

// An object travels as its JSON text.
struct JsonText {
    std::string text;
    bool operator==(const JsonText&) const = default;
};
using MessageValue = std::variant<std::string, int64_t, bool, JsonText>;
using MessageValues = std::map<std::string, MessageValue, std::less<>>;

// Fields of a checked message. A field that is absent gives the fallback.
class Message {
  public:
    MessageType type{};
    int64_t id = 0;             // requests and replies; 0 in events
    MessageValues values;

    [[nodiscard]] std::string text(std::string_view name, std::string_view fallback = "") const;
    [[nodiscard]] int64_t integer(std::string_view name, int64_t fallback = 0) const;
    [[nodiscard]] bool boolean(std::string_view name, bool fallback = false) const;
    [[nodiscard]] std::string object(std::string_view name) const;  // JSON text, "{}" when absent
};

// The answer to a request: values, or the error's kind and sentence.
struct Reply {
    int64_t id = 0;
    Result<MessageValues> result;
};

// One line each, without the newline.
[[nodiscard]] std::string encode_request(const Message& request);
[[nodiscard]] std::string encode_event(const Message& event);
[[nodiscard]] std::string encode_reply(MessageType type, const Reply& reply);

// What the worker reads: a request of the table.
[[nodiscard]] Result<Message> decode_request(std::string_view line);
// What a client reads: an event, or a reply to the request with that id. `type_of` tells the type of the request with
// an id, or nothing when none is waiting (which is an error).
using Incoming = std::variant<Message, Reply>;
[[nodiscard]] Result<Incoming> decode_from_worker(std::string_view line, const std::map<int64_t, MessageType>& waiting);

// "not_found", ...: how a kind of error is written in replies and in the command line's JSON.
[[nodiscard]] std::string_view to_text(ErrorKind kind);

// The protocol as Markdown, from the table.
[[nodiscard]] std::string protocol_document();

// Cuts a byte stream into lines, refusing lines over k_max_message_bytes.
class LineBuffer {
  public:
    [[nodiscard]] Status append(std::string_view bytes);
    [[nodiscard]] bool take_line(std::string& line);
    [[nodiscard]] size_t size() const { return m_bytes.size() - m_start; }

  private:
    std::string m_bytes;
    size_t m_start = 0;
    size_t m_searched = 0;
};

}  // namespace skep
