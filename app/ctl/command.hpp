// SPDX-License-Identifier: GPL-3.0-or-later
// What a command of skepctl is. A new command is one file here and one line in commands.cpp.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/control/json_text.hpp"

namespace skep {

enum class OutputFormat { text, json };

// Where a command's answer goes: text for people, or the same as one JSON value.
class Output {
  public:
    explicit Output(OutputFormat format) : m_format(format) {}
    [[nodiscard]] bool is_json() const { return m_format == OutputFormat::json; }
    // `text` should end with a newline (or be empty).
    void print(const OrderedJson& json, std::string_view text) const;
    // To standard error (and as {"error": ...} to standard output with --json).
    void print_error(const Error& error) const;
    // The same for a command line that was not understood.
    void print_usage_error(const std::string& message) const;
    // A remark for people, to standard error; never in JSON.
    void note(std::string_view text) const;

  private:
    void print_failure(std::string_view kind, const std::string& message) const;

    OutputFormat m_format;
};

class Command {
  public:
    virtual ~Command() = default;
    [[nodiscard]] virtual const char* name() const = 0;
    [[nodiscard]] virtual const char* help() const = 0;
    virtual void declare(CLI::App& app) = 0;
    // The exit code, normally 0. A Result's error is printed by main() and gives exit code 1, or error_code().
    [[nodiscard]] virtual Result<int> run(const Output& output) = 0;
    [[nodiscard]] virtual int error_code() const { return 1; }
    [[nodiscard]] virtual int usage_error_code() const { return 2; }
};

using Commands = std::vector<std::unique_ptr<Command>>;
[[nodiscard]] Commands make_commands();

inline constexpr const char* k_program_name = "skepctl";

}  // namespace skep
