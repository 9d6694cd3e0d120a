// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/messages.hpp"

#include <algorithm>
#include <array>

#include "vmm/control/json_text.hpp"

namespace skep {
namespace {

constexpr std::array k_messages{
#define SKEP_MESSAGE(enumerator, name, kind, since, frozen, help) \
    MessageDescriptor{MessageType::enumerator, name, MessageKind::kind, since, frozen, help},
#include "vmm/control/messages.def"
};

constexpr std::array k_fields{
#define SKEP_FIELD(enumerator, direction, name, type, presence, help)                                    \
    MessageField{MessageType::enumerator, FieldDirection::direction, name, MessageFieldType::type, \
                 Presence::presence, help},
#include "vmm/control/messages.def"
};

constexpr std::array<std::string_view, 9> k_error_kinds{"invalid_input", "not_found",   "permission", "in_use",   "no_space",
                                                        "unsupported",   "io",          "protocol",   "cancelled"};

// A kind that this version does not know is as good as io.
ErrorKind kind_from(const std::string& text) {
    const auto found = std::find(k_error_kinds.begin(), k_error_kinds.end(), text);
    return found == k_error_kinds.end() ? ErrorKind::io : static_cast<ErrorKind>(found - k_error_kinds.begin());
}

const MessageDescriptor* find_message(std::string_view name, MessageKind kind) {
    const auto found = std::find_if(k_messages.begin(), k_messages.end(), [&](const MessageDescriptor& one) {
        return one.name == name && one.kind == kind;
    });
    return found == k_messages.end() ? nullptr : &*found;
}

tl::unexpected<Error> malformed(std::string_view what) {
    return fail(ErrorKind::protocol, "The peer sent a message that is not of the protocol: {}.", what);
}

Json to_json(const MessageValue& value) {
    return std::visit(
        [](const auto& held) -> Json {
            if constexpr (std::is_same_v<std::decay_t<decltype(held)>, JsonText>) {
                return parse_json(held.text).value_or(Json::object());
            } else {
                return held;
            }
        },
        value);
}

std::optional<MessageValue> from_json(const Json& json, MessageFieldType type) {
    switch (type) {
        case MessageFieldType::text:
            return json.is_string() ? std::optional<MessageValue>(json.get<std::string>()) : std::nullopt;
        case MessageFieldType::integer: {
            const bool fits = json.is_number_integer() && !(json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX);
            return fits ? std::optional<MessageValue>(json.get<int64_t>()) : std::nullopt;
        }
        case MessageFieldType::boolean:
            return json.is_boolean() ? std::optional<MessageValue>(json.get<bool>()) : std::nullopt;
        case MessageFieldType::object:
            return json.is_object() ? std::optional<MessageValue>(JsonText{print_json(json)}) : std::nullopt;
    }
    return std::nullopt;
}

const MessageField* find_message_field(MessageType type, FieldDirection direction, std::string_view name) {
    const auto found = std::find_if(k_fields.begin(), k_fields.end(), [&](const MessageField& field) {
        return field.message == type && field.direction == direction && field.name == name;
    });
    return found == k_fields.end() ? nullptr : &*found;
}

using Envelope = std::initializer_list<std::string_view>;

// Every member is of the table or of the envelope, has its type, and nothing needed is missing.
Result<MessageValues> check_fields(const Json& object, MessageType type, FieldDirection direction, Envelope envelope) {
    MessageValues values;
    for (const auto& [name, json] : object.items()) {
        if (std::find(envelope.begin(), envelope.end(), name) != envelope.end()) {
            continue;
        }
        const MessageField* field = find_message_field(type, direction, name);
        if (field == nullptr) {
            return malformed("it has an unknown field");
        }
        auto value = from_json(json, field->type);
        if (!value) {
            return malformed(fmt::format("'{}' has the wrong type", field->name));
        }
        values.emplace(name, std::move(*value));
    }
    for (const MessageField& field : k_fields) {
        const bool concerned = field.message == type && field.direction == direction;
        if (concerned && field.presence == Presence::needed && values.find(field.name) == values.end()) {
            return malformed(fmt::format("'{}' is missing", field.name));
        }
    }
    return values;
}

Result<Json> parse_object(std::string_view line) {
    if (line.size() > k_max_message_bytes) {
        return malformed("it is over 1 MiB");
    }
    auto json = parse_json(line);
    if (!json || !json->is_object()) {
        return malformed("it is not a JSON object");
    }
    return std::move(*json);
}

Result<int64_t> take_id(const Json& object) {
    const auto id = object.find("id");
    if (id == object.end() || !id->is_number_integer() || id->get<int64_t>() <= 0) {
        return malformed("its id is not a positive number");
    }
    return id->get<int64_t>();
}

template <typename Wanted>
Wanted get_or(const MessageValues& values, std::string_view name, Wanted fallback) {
    const auto found = values.find(name);
    const auto* held = found == values.end() ? nullptr : std::get_if<Wanted>(&found->second);
    return held == nullptr ? std::move(fallback) : *held;
}

Result<Incoming> decode_event(const Json& object) {
    const MessageDescriptor* about =
        object["event"].is_string() ? find_message(object["event"].get<std::string>(), MessageKind::event) : nullptr;
    if (about == nullptr) {
        return malformed("unknown event");
    }
    return check_fields(object, about->type, FieldDirection::call, {"event"}).map([&](MessageValues values) -> Incoming {
        return Message{about->type, 0, std::move(values)};
    });
}

Result<Incoming> decode_error(const Json& error, int64_t id) {
    const bool good = error.is_object() && error.size() == 2 && error.contains("kind") && error["kind"].is_string() &&
                      error.contains("message") && error["message"].is_string();
    if (!good) {
        return malformed("its error is not {kind, message}");
    }
    return Reply{id, tl::unexpected<Error>(Error{kind_from(error["kind"].get<std::string>()), error["message"].get<std::string>()})};
}

}  // namespace

std::string_view to_text(ErrorKind kind) { return k_error_kinds.at(static_cast<size_t>(kind)); }

std::span<const MessageDescriptor> message_table() { return k_messages; }
std::span<const MessageField> message_fields() { return k_fields; }
bool brings_descriptor(MessageType type) {
    return type == MessageType::console_open || type == MessageType::screen_open || type == MessageType::screen_shot;
}

const MessageDescriptor& describe(MessageType type) { return k_messages.at(static_cast<size_t>(type)); }

std::string Message::text(std::string_view name, std::string_view fallback) const {
    return get_or(values, name, std::string(fallback));
}
int64_t Message::integer(std::string_view name, int64_t fallback) const { return get_or(values, name, fallback); }
bool Message::boolean(std::string_view name, bool fallback) const { return get_or(values, name, fallback); }
std::string Message::object(std::string_view name) const { return get_or(values, name, JsonText{"{}"}).text; }

std::string encode_request(const Message& request) {
    OrderedJson json{{"id", request.id}, {"do", describe(request.type).name}};
    for (const auto& [name, value] : request.values) {
        json[name] = to_json(value);
    }
    return print_json(json);
}

std::string encode_event(const Message& event) {
    OrderedJson json{{"event", describe(event.type).name}};
    for (const auto& [name, value] : event.values) {
        json[name] = to_json(value);
    }
    return print_json(json);
}

std::string encode_reply(MessageType, const Reply& reply) {
    OrderedJson json{{"id", reply.id}};
    if (!reply.result) {
        json["error"] = {{"kind", to_text(reply.result.error().kind)}, {"message", reply.result.error().message}};
        return print_json(json);
    }
    json["ok"] = true;
    for (const auto& [name, value] : *reply.result) {
        json[name] = to_json(value);
    }
    return print_json(json);
}

Result<Message> decode_request(std::string_view line) {
    const Result<Json> object = parse_object(line);
    if (!object) {
        return tl::unexpected<Error>(object.error());
    }
    const Result<int64_t> id = take_id(*object);
    if (!id) {
        return tl::unexpected<Error>(id.error());
    }
    const auto verb = object->find("do");
    const MessageDescriptor* about = verb != object->end() && verb->is_string()
                                         ? find_message(verb->get<std::string>(), MessageKind::request)
                                         : nullptr;
    if (about == nullptr) {
        return malformed("unknown request");
    }
    return check_fields(*object, about->type, FieldDirection::call, {"id", "do"}).map([&](MessageValues values) {
        return Message{about->type, *id, std::move(values)};
    });
}

Result<Incoming> decode_from_worker(std::string_view line, const std::map<int64_t, MessageType>& waiting) {
    const Result<Json> object = parse_object(line);
    if (!object) {
        return tl::unexpected<Error>(object.error());
    }
    if (object->contains("event")) {
        return decode_event(*object);
    }
    const Result<int64_t> id = take_id(*object);
    const auto request = id ? waiting.find(*id) : waiting.end();
    if (request == waiting.end()) {
        return malformed("a reply to nothing");
    }
    if (const auto error = object->find("error"); error != object->end()) {
        return decode_error(*error, *id);
    }
    const auto ok = object->find("ok");
    if (ok == object->end() || *ok != Json(true)) {
        return malformed("a reply without 'ok'");
    }
    return check_fields(*object, request->second, FieldDirection::reply, {"id", "ok"}).map([&](MessageValues values) -> Incoming {
        return Reply{*id, std::move(values)};
    });
}

Status LineBuffer::append(std::string_view bytes) {
    if (m_start > 64 * 1024) {
        m_bytes.erase(0, m_start);
        m_searched -= m_start;
        m_start = 0;
    }
    m_bytes.append(bytes);
    // Complete lines are taken out between appends, so what is over the limit is one line.
    if (size() > k_max_message_bytes + 64 * 1024 ||
        (size() > k_max_message_bytes && m_bytes.find('\n', std::max(m_start, m_searched)) == std::string::npos)) {
        return malformed("a message over 1 MiB");
    }
    return {};
}

bool LineBuffer::take_line(std::string& line) {
    const size_t end = m_bytes.find('\n', std::max(m_start, m_searched));
    if (end == std::string::npos) {
        m_searched = m_bytes.size();
        return false;
    }
    line.assign(m_bytes, m_start, end - m_start);
    m_start = end + 1;
    m_searched = m_start;
    return true;
}

}  // namespace skep
