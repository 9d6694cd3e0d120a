// SPDX-License-Identifier: GPL-3.0-or-later
// The protocol as Markdown (`skepctl protocol`), from the message table.
#include "vmm/control/messages.hpp"

namespace skep {
namespace {

std::string_view type_text(MessageFieldType type) {
    switch (type) {
        case MessageFieldType::text: return "text";
        case MessageFieldType::integer: return "integer";
        case MessageFieldType::boolean: return "true or false";
        case MessageFieldType::object: return "object";
    }
    return "";
}

std::string describe_message(const MessageDescriptor& about) {
    std::string text = fmt::format("### `{}`{}\n\n{}\n\n", about.name, about.frozen ? " (frozen core)" : "", about.help);
    for (const MessageField& field : message_fields()) {
        if (field.message == about.type) {
            text += fmt::format("- {}`{}` ({}{}): {}\n", field.direction == FieldDirection::reply ? "reply: " : "", field.name,
                                type_text(field.type), field.presence == Presence::optional ? ", optional" : "", field.help);
        }
    }
    return text.ends_with("\n\n") ? text : text + "\n";
}

}  // namespace

std::string protocol_document() {
    std::string text = fmt::format(
        "# Control protocol, version {}\n\n"
        "The worker listens on `$XDG_RUNTIME_DIR/skep/<id>/ctl.sock` (a Unix stream socket, only for the same user).\n"
        "Each message is one JSON object on one line of at most 1 MiB. The worker speaks first with `greeting`.\n\n"
        "- request: `{{\"id\": 1, \"do\": \"eject\", \"drive\": \"cd0\"}}`, ids are positive and chosen by the client\n"
        "- reply: `{{\"id\": 1, \"ok\": true, ...}}` or `{{\"id\": 1, \"error\": {{\"kind\": \"not_found\", \"message\": \"...\"}}}}`\n"
        "- event: `{{\"event\": \"guest_reset\"}}`\n\n"
        "Whatever is not described here closes the connection; the machine goes on. Between two versions, the messages of\n"
        "the frozen core always work.\n\n",
        k_protocol_version);
    for (const MessageKind kind : {MessageKind::request, MessageKind::event}) {
        text += fmt::format("## {}\n\n", kind == MessageKind::request ? "Requests" : "Events");
        for (const MessageDescriptor& about : message_table()) {
            text += about.kind == kind ? describe_message(about) : "";
        }
    }
    return text;
}

}  // namespace skep
