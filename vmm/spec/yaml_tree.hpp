// SPDX-License-Identifier: GPL-3.0-or-later
// Inside vmm/spec: a small YAML subset as a tree with positions. Anchors, aliases, tags, several documents, duplicate
// keys, deep nesting and large files are refused while reading, before they can cost anything.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"

namespace skep {

struct YamlNode {
    enum class Kind { null, scalar, sequence, mapping };
    struct Key {
        std::string text;
        int line = 0;
        int column = 0;
    };
    Kind kind = Kind::null;
    std::string text;     // scalar
    bool quoted = false;  // scalar: was written in quotes or as a block
    int line = 0;         // 1-based
    int column = 0;
    std::vector<YamlNode> items;                     // sequence
    struct Entry;
    std::vector<Entry> entries;   // mapping, in order

    [[nodiscard]] const YamlNode* find(std::string_view key) const;
};

struct YamlNode::Entry {
    Key key;
    YamlNode value;
};

inline constexpr size_t k_max_yaml_depth = 16;
inline constexpr size_t k_max_yaml_nodes = 10'000;

// An empty text is a null node. Errors begin with "<file_name> line L, column C: ".
[[nodiscard]] Result<YamlNode> parse_yaml(std::string_view text, std::string_view file_name);

// A node on one line in flow style, which parse_yaml gives back unchanged.
[[nodiscard]] std::string print_flow(const YamlNode& node);
// A string as a scalar: plain when it reads back as the same string, else in double quotes.
[[nodiscard]] std::string print_string(std::string_view text);
[[nodiscard]] std::string print_quoted(std::string_view text);

}  // namespace skep
