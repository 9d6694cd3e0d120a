// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <sstream>

namespace skep {
namespace {

struct Refused {
    YAML::Mark mark;
    std::string what;
};

// Builds the tree from yaml-cpp's events, so that limits hold while the text is being read.
class TreeBuilder final : public YAML::EventHandler {
  public:
    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        refuse_anchor(mark, anchor);
        add(node(YamlNode::Kind::null, mark), mark);
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        throw Refused{mark, "aliases (*name) are not allowed"};
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
        refuse_anchor(mark, anchor);
        refuse_tag(mark, tag);
        YamlNode scalar = node(YamlNode::Kind::scalar, mark);
        scalar.text = value;
        scalar.quoted = tag == "!";
        if (!scalar.quoted && (value == "~" || value == "null")) {
            scalar = node(YamlNode::Kind::null, mark);
        }
        add(std::move(scalar), mark);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(YamlNode::Kind::sequence, mark, tag, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(YamlNode::Kind::mapping, mark, tag, anchor);
    }
    void OnMapEnd() override { close(); }

    YamlNode take() { return std::move(m_root); }

    // Where the innermost list or group begins that has not ended yet; `fallback` when there is none.
    [[nodiscard]] YAML::Mark open_place(YAML::Mark fallback) const {
        if (!m_open.empty()) {
            fallback.line = m_open.back().node.line - 1;
            fallback.column = m_open.back().node.column - 1;
        }
        return fallback;
    }

  private:
    struct Open {
        YamlNode node;
        YamlNode::Key key;
        bool have_key = false;
    };

    static YamlNode node(YamlNode::Kind kind, const YAML::Mark& mark) {
        YamlNode made;
        made.kind = kind;
        made.line = mark.line + 1;
        made.column = mark.column + 1;
        return made;
    }
    static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (anchor != YAML::NullAnchor) {
            throw Refused{mark, "anchors (&name) are not allowed"};
        }
    }
    static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        if (!tag.empty() && tag != "?" && tag != "!") {
            throw Refused{mark, "tags (!name) are not allowed"};
        }
    }
    void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        refuse_anchor(mark, anchor);
        refuse_tag(mark, tag);
        if (m_open.size() >= k_max_yaml_depth) {
            throw Refused{mark, fmt::format("nested deeper than {} levels", k_max_yaml_depth)};
        }
        m_open.push_back(Open{node(kind, mark), {}, false});
    }
    void close() {
        Open done = std::move(m_open.back());
        m_open.pop_back();
        add(std::move(done.node), YAML::Mark::null_mark());
    }
    void add(YamlNode child, const YAML::Mark& mark) {
        if (++m_count > k_max_yaml_nodes) {
            throw Refused{mark, fmt::format("more than {} entries", k_max_yaml_nodes)};
        }
        if (m_open.empty()) {
            m_root = std::move(child);
            return;
        }
        Open& parent = m_open.back();
        if (parent.node.kind == YamlNode::Kind::sequence) {
            parent.node.items.push_back(std::move(child));
        } else if (!parent.have_key) {
            take_key(parent, child, mark);
        } else {
            parent.node.entries.push_back({std::move(parent.key), std::move(child)});
            parent.have_key = false;
        }
    }
    static void take_key(Open& parent, const YamlNode& child, const YAML::Mark& mark) {
        if (child.kind != YamlNode::Kind::scalar) {
            throw Refused{mark, "a key must be a word"};
        }
        if (parent.node.find(child.text) != nullptr) {
            throw Refused{mark, fmt::format("the key '{}' is given twice", child.text)};
        }
        parent.key = YamlNode::Key{child.text, child.line, child.column};
        parent.have_key = true;
    }

    YamlNode m_root;
    std::vector<Open> m_open;
    size_t m_count = 0;
};

tl::unexpected<Error> fail_at(std::string_view file_name, const YAML::Mark& mark, std::string_view what) {
    if (mark.is_null()) {
        return fail(ErrorKind::invalid_input, "{}: {}.", file_name, what);
    }
    return fail(ErrorKind::invalid_input, "{} line {}, column {}: {}.", file_name, mark.line + 1, mark.column + 1, what);
}

// yaml-cpp's complaints (exceptions.h) begin like this; what they mean to somebody who edits the file.
struct Wording {
    std::string_view theirs;
    std::string_view ours;
};
constexpr std::array k_wordings{
    Wording{"end of sequence flow not found", "the list that begins here with '[' is not closed with ']'"},
    Wording{"end of map flow not found", "the group that begins here with '{' is not closed with '}'"},
    Wording{"end of sequence not found", "this line does not belong to the list above it; begin it with '- ' or indent it alike"},
    Wording{"end of map not found", "this line is no 'key: value' line indented like the ones above it"},
    Wording{"illegal EOF in scalar", "a text that begins with a quotation mark is not closed with one"},
    Wording{"illegal document indicator in scalar", "a text that begins with a quotation mark is not closed with one"},
    Wording{"illegal tab when looking for indentation", "a line is indented with a tab; use spaces"},
    Wording{"illegal flow end", "a ']' or '}' stands here without the bracket that opens it"},
    Wording{"illegal block entry", "a '- ' cannot stand here; begin a new line with it"},
    Wording{"illegal map key", "a key cannot stand here; begin a new line with it"},
    Wording{"illegal map value", "a ':' cannot stand here; put the text around it into double quotes"},
    Wording{"unknown token", "this character cannot begin a value; put the value into double quotes"},
    Wording{"illegal character in scalar", "this character cannot stand here; put the value into double quotes"},
    Wording{"bad character found while scanning hex", "a '\\' is followed by something unknown; write '\\\\' for the character itself"},
    Wording{"invalid unicode", "a '\\' is followed by something unknown; write '\\\\' for the character itself"},
    Wording{"unknown escape character", "a '\\' is followed by something unknown; write '\\\\' for the character itself"},
    Wording{"unexpected character in block scalar", "a '|' or '>' must be the last thing on its line"},
    Wording{"cannot set zero indentation", "a '|' or '>' must be the last thing on its line"},
};

std::string_view our_wording(std::string_view theirs) {
    for (const Wording& wording : k_wordings) {
        if (theirs.starts_with(wording.theirs)) {
            return wording.ours;
        }
    }
    for (const std::string_view word : {"anchor", "alias", "tag", "TAG", "YAML"}) {
        if (theirs.find(word) != std::string_view::npos) {
            return "'&', '*', '!' and '%' have a meaning of their own here; put the value into double quotes";
        }
    }
    return "this is not written as YAML asks for; look at a machine that works";
}

bool is_plain_character(char character) {
    const auto letter = static_cast<char>(character | 0x20);
    constexpr std::string_view k_marks = " _./+-=()@~$%";
    return (letter >= 'a' && letter <= 'z') || (character >= '0' && character <= '9') ||
           k_marks.find(character) != std::string_view::npos;
}

// Words that a YAML 1.1 or 1.2 reader would not take as a string.
bool is_reserved(std::string_view text) {
    std::string lower(text);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char letter) {
        return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + 32) : letter;
    });
    constexpr std::array<std::string_view, 9> k_words{"true", "false", "yes", "no", "on", "off", "null", "~", "y"};
    return std::find(k_words.begin(), k_words.end(), lower) != k_words.end() || lower == "n";
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
    for (const auto& [name, value] : entries) {
        if (name.text == key) {
            return &value;
        }
    }
    return nullptr;
}

Result<YamlNode> parse_yaml(std::string_view text, std::string_view file_name) {
    if (text.find('\0') != std::string_view::npos) {
        return fail(ErrorKind::invalid_input, "{}: this is not a text file.", file_name);
    }
    std::istringstream stream{std::string(text)};
    TreeBuilder builder;
    try {
        YAML::Parser parser(stream);
        if (!parser.HandleNextDocument(builder)) {
            return YamlNode{};
        }
        TreeBuilder second;
        if (parser.HandleNextDocument(second)) {
            return fail(ErrorKind::invalid_input, "{}: only one document is allowed.", file_name);
        }
        return builder.take();
    } catch (const Refused& refused) {
        return fail_at(file_name, refused.mark, refused.what);
    } catch (const YAML::Exception& error) {
        const bool unclosed = error.msg.ends_with("flow not found");
        return fail_at(file_name, unclosed ? builder.open_place(error.mark) : error.mark, our_wording(error.msg));
    }
}

std::string print_quoted(std::string_view text) {
    std::string quoted = "\"";
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        switch (character) {
            case '"': quoted += "\\\""; break;
            case '\\': quoted += "\\\\"; break;
            case '\n': quoted += "\\n"; break;
            case '\t': quoted += "\\t"; break;
            default:
                if (byte < 0x20 || byte == 0x7f) {
                    quoted += fmt::format("\\x{:02x}", byte);
                } else {
                    quoted += character;
                }
        }
    }
    return quoted + "\"";
}

std::string print_string(std::string_view text) {
    const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), is_plain_character) &&
                       ((text[0] | 0x20) >= 'a' && (text[0] | 0x20) <= 'z' ? true : text[0] == '/') &&
                       text.back() != ' ' && !is_reserved(text);
    return plain ? std::string(text) : print_quoted(text);
}

std::string print_flow(const YamlNode& node) {
    std::string text;
    switch (node.kind) {
        case YamlNode::Kind::null: return "null";
        case YamlNode::Kind::scalar: {
            // Numbers and booleans must stay plain; any other plain word may as well be quoted.
            const bool plain = !node.quoted && !node.text.empty() &&
                               std::all_of(node.text.begin(), node.text.end(), is_plain_character) &&
                               node.text.find(' ') == std::string::npos && node.text[0] != '@' &&
                               node.text[0] != '%' && node.text[0] != '=' && node.text != "-" && node.text != "---";
            return plain ? node.text : print_quoted(node.text);
        }
        case YamlNode::Kind::sequence:
            for (const YamlNode& item : node.items) {
                text += fmt::format("{}{}", text.empty() ? "" : ", ", print_flow(item));
            }
            return "[" + text + "]";
        case YamlNode::Kind::mapping:
            for (const auto& [key, value] : node.entries) {
                text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", print_string(key.text), print_flow(value));
            }
            return "{" + text + "}";
    }
    return text;
}

}  // namespace skep
