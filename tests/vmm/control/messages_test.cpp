// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/messages.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace skep {
namespace {

TEST(Messages, table_is_in_the_order_of_the_enum_with_unique_names) {
    std::set<std::pair<MessageKind, std::string_view>> names;
    for (const MessageDescriptor& about : message_table()) {
        EXPECT_EQ(&describe(about.type), &about);
        EXPECT_TRUE(names.insert({about.kind, about.name}).second) << about.name;
        EXPECT_FALSE(about.help.empty());
        EXPECT_LE(about.since, k_protocol_version);
    }
}

TEST(Messages, frozen_core_is_exactly_what_was_promised) {
    std::set<std::string_view> frozen;
    for (const MessageDescriptor& about : message_table()) {
        if (about.frozen) {
            frozen.insert(about.name);
        }
    }
    EXPECT_EQ(frozen, (std::set<std::string_view>{"greeting", "status", "pause", "resume", "power_button", "power_off", "reset"}));
}

TEST(Messages, request_survives_the_wire) {
    const Message sent{MessageType::insert, 7, {{"drive", std::string("cd0")}, {"file", std::string("/a \"b\"\n\xc3\xa9.iso")}}};
    const std::string line = encode_request(sent);
    EXPECT_EQ(line.find('\n'), std::string::npos);
    const auto got = decode_request(line);
    ASSERT_TRUE(got);
    EXPECT_EQ(got->type, MessageType::insert);
    EXPECT_EQ(got->id, 7);
    EXPECT_EQ(got->values, sent.values);
}

TEST(Messages, reply_event_and_error_survive_the_wire) {
    const std::map<int64_t, MessageType> waiting{{3, MessageType::info}, {4, MessageType::eject}};
    const auto info = decode_from_worker(encode_reply(MessageType::info, {3, MessageValues{{"info", JsonText{R"({"a":[1]})"}}}}), waiting);
    EXPECT_EQ(std::get<JsonText>(std::get<Reply>(*info).result->at("info")).text, R"({"a":[1]})");
    const auto error = decode_from_worker(encode_reply(MessageType::eject, {4, fail(ErrorKind::in_use, "Busy.")}), waiting);
    EXPECT_EQ(std::get<Reply>(*error).result.error().kind, ErrorKind::in_use);
    EXPECT_EQ(std::get<Reply>(*error).result.error().message, "Busy.");
    const auto event = decode_from_worker(encode_event({MessageType::no_space, 0, {{"disk", std::string("d")}, {"message", std::string("m")}}}), waiting);
    EXPECT_EQ(std::get<Message>(*event).type, MessageType::no_space);
    EXPECT_EQ(std::get<Message>(*event).text("disk"), "d");
}

TEST(Messages, malformed_requests_are_refused) {
    for (const char* line : {"", "x", "[]", "{}", "null", R"({"id":1})", R"({"do":"status"})", R"({"id":"1","do":"status"})",
                             R"({"id":0,"do":"status"})", R"({"id":-1,"do":"status"})", R"({"id":1.5,"do":"status"})",
                             R"({"id":18446744073709551615,"do":"status"})", R"({"id":1,"do":"explode"})",
                             R"({"id":1,"do":"guest_reset"})", R"({"id":1,"do":5})", R"({"id":1,"do":"status","extra":1})",
                             R"({"id":1,"do":"insert"})", R"({"id":1,"do":"insert","file":5})",
                             R"({"id":1,"do":"console.open","port":"0"})", R"({"id":1,"do":"console.open","port":1e3})",
                             R"({"id":1,"do":"console.open","port":18446744073709551615})",
                             R"({"id":1,"do":"status"}{)", "{\"id\":1,\"do\":\"status\xff\"}"}) {
        const auto got = decode_request(line);
        ASSERT_FALSE(got) << line;
        EXPECT_EQ(got.error().kind, ErrorKind::protocol);
    }
    EXPECT_FALSE(decode_request(std::string(200'000, '[')));
    EXPECT_FALSE(decode_request(R"({"id":1,"do":"status","x":)" + std::string(5000, '[') + std::string(5000, ']') + "}"));
}

TEST(Messages, malformed_answers_are_refused) {
    const std::map<int64_t, MessageType> waiting{{1, MessageType::status}, {2, MessageType::pause}};
    for (const char* line : {R"({"id":1,"ok":true})", R"({"id":9,"ok":true})", R"({"id":2})", R"({"id":2,"ok":false})",
                             R"({"id":2,"ok":true,"more":1})", R"({"id":2,"error":"x"})", R"({"id":2,"error":{"kind":1,"message":"x"}})",
                             R"({"event":"status"})", R"({"event":7})", R"({"event":"exited","code":1})"}) {
        EXPECT_FALSE(decode_from_worker(line, waiting)) << line;
    }
}

TEST(Messages, random_changes_never_crash_the_codec) {
    std::mt19937 random(3);
    const std::string good = R"({"id":12,"do":"insert","drive":"cd0","file":"/home/me/x.iso"})";
    const std::map<int64_t, MessageType> waiting{{12, MessageType::insert}};
    int accepted = 0;
    for (int round = 0; round < 20'000; ++round) {
        std::string line = good;
        for (int change = 0; change <= round % 5; ++change) {
            line[random() % line.size()] = static_cast<char>(random());
        }
        accepted += decode_request(line) ? 1 : 0;
        EXPECT_FALSE(decode_from_worker(line, waiting));
    }
    EXPECT_GT(accepted, 0);
}

TEST(Messages, document_names_every_message_and_field) {
    const std::string document = protocol_document();
    for (const MessageDescriptor& about : message_table()) {
        EXPECT_NE(document.find(fmt::format("### `{}`", about.name)), std::string::npos) << about.name;
    }
    for (const MessageField& field : message_fields()) {
        EXPECT_NE(document.find(fmt::format("`{}` (", field.name)), std::string::npos) << field.name;
    }
}

TEST(LineBuffer, lines_are_cut_across_appends) {
    LineBuffer buffer;
    std::string line;
    ASSERT_TRUE(buffer.append("ab"));
    EXPECT_FALSE(buffer.take_line(line));
    ASSERT_TRUE(buffer.append("c\n\nd"));
    ASSERT_TRUE(buffer.take_line(line));
    EXPECT_EQ(line, "abc");
    ASSERT_TRUE(buffer.take_line(line));
    EXPECT_EQ(line, "");
    EXPECT_FALSE(buffer.take_line(line));
    EXPECT_EQ(buffer.size(), 1u);
}

TEST(LineBuffer, endless_line_is_refused) {
    LineBuffer buffer;
    const std::string chunk(16 * 1024, 'x');
    size_t taken = 0;
    while (buffer.append(chunk)) {
        taken += chunk.size();
        ASSERT_LE(taken, k_max_message_bytes);
    }
    EXPECT_EQ(taken, k_max_message_bytes);
}

}  // namespace
}  // namespace skep
