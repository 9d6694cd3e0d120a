// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/unattended/answers.hpp"

#include <crypt.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

namespace skep {
namespace {

constexpr size_t k_most_user = 32, k_most_name = 128, k_most_host = 63, k_most_password = 256;
// Of base-passwd and systemd: an installer would refuse them.
constexpr std::array<std::string_view, 22> k_taken{"root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp",
                                                   "proxy", "www-data", "backup", "list", "irc", "nobody", "systemd-network", "sshd",
                                                   "messagebus", "admin", "sudo"};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Words that go into files of other programs unquoted.
bool is_plain(std::string_view text) {
    return !text.empty() && text.size() < 64 && std::ranges::all_of(text, [](char c) {
        return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c) || std::string_view("_-./+@").find(c) != std::string_view::npos;
    });
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
}

std::string host_locale() {
    for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
        const std::string value = environment(name);
        if (!value.empty()) {
            return value.ends_with(".UTF-8") && value.find('_') != std::string::npos ? value : "";
        }
    }
    return {};
}

std::string host_time_zone() {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink("/etc/localtime", error).string();
    constexpr std::string_view k_folder = "zoneinfo/";
    const size_t at = target.find(k_folder);
    return error || at == std::string::npos ? "" : target.substr(at + k_folder.size());
}

// XKBLAYOUT="de" of keyboard(5); of several the first.
std::string host_keyboard() {
    std::ifstream file("/etc/default/keyboard");
    std::string line;
    while (std::getline(file, line)) {
        if (line.starts_with("XKBLAYOUT=")) {
            std::string layout = line.substr(line.find('=') + 1);
            std::erase(layout, '"');
            return layout.substr(0, layout.find(','));
        }
    }
    return {};
}

}  // namespace

Region host_region() {
    Region region;
    const auto take = [](std::string& to, const std::string& found) {
        to = is_plain(found) ? found : to;
    };
    take(region.locale, host_locale());
    take(region.time_zone, host_time_zone());
    take(region.keyboard, host_keyboard());
    return region;
}

std::string full_name_problem(std::string_view text) {
    if (text.size() > k_most_name) {
        return fmt::format("The full name is longer than {} bytes.", k_most_name);
    }
    const bool bad = std::ranges::any_of(text, [](char c) { return is_control(c) || c == ':' || c == ',' || c == '='; });
    return bad ? "The full name must not hold colons, commas, equals signs or control characters." : "";
}

std::string user_problem(std::string_view text) {
    if (text.empty()) {
        return "Give a user name to log in by.";
    }
    if (text.size() > k_most_user) {
        return fmt::format("The user name is longer than {} characters.", k_most_user);
    }
    const bool good = is_lower(text.front()) &&
                      std::ranges::all_of(text, [](char c) { return is_lower(c) || is_digit(c) || c == '-' || c == '_'; });
    if (!good) {
        return "A user name begins with a small letter and holds small letters, digits, '-' and '_'.";
    }
    return std::ranges::find(k_taken, text) != k_taken.end()
               ? fmt::format("The system itself has a user or group '{}': choose another name.", text)
               : "";
}

std::string password_problem(std::string_view text) {
    if (text.empty()) {
        return "Give a password.";
    }
    if (text.size() > k_most_password) {
        return fmt::format("The password is longer than {} bytes.", k_most_password);
    }
    return std::ranges::any_of(text, is_control) ? "The password must not hold control characters." : "";
}

// RFC 1123, one label.
std::string host_name_problem(std::string_view text) {
    if (text.empty()) {
        return "Give the new system a host name.";
    }
    if (text.size() > k_most_host) {
        return fmt::format("The host name is longer than {} characters.", k_most_host);
    }
    const bool good = text.front() != '-' && text.back() != '-' &&
                      std::ranges::all_of(text, [](char c) { return is_lower(c) || is_digit(c) || c == '-'; });
    return good ? "" : "A host name holds small letters, digits and '-', and neither begins nor ends with '-'.";
}

std::string suggest_host_name(std::string_view machine_name) {
    std::string name;
    for (const char c : machine_name) {
        const char small = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        if (is_lower(small) || is_digit(small)) {
            name += small;
        } else if (!name.empty() && name.back() != '-') {
            name += '-';
        }
    }
    name.resize(std::min(name.size(), k_most_host));
    name.erase(name.find_last_not_of('-') + 1);
    return name.empty() ? "vm" : name;
}

Result<std::string> hash_password(const std::string& password) {
    std::array<char, CRYPT_GENSALT_OUTPUT_SIZE> salt{};
    const auto data = std::make_unique<crypt_data>();
    const char* hash = nullptr;
    if (crypt_gensalt_rn("$6$", 0, nullptr, 0, salt.data(), static_cast<int>(salt.size())) != nullptr) {
        hash = crypt_r(password.c_str(), salt.data(), data.get());
    }
    const std::string result = hash != nullptr ? hash : "";
    explicit_bzero(data.get(), sizeof *data);
    if (!result.starts_with("$6$")) {
        return fail(ErrorKind::unsupported, "This computer's libcrypt cannot hash the password with SHA-512.");
    }
    return result;
}

Result<Answers> answers_from(const AnswerForm& form) {
    for (const std::string& problem : {full_name_problem(form.full_name), user_problem(form.user),
                                       password_problem(form.password), host_name_problem(form.host_name)}) {
        if (!problem.empty()) {
            return fail(ErrorKind::invalid_input, "{}", problem);
        }
    }
    return hash_password(form.password).map([&](std::string hash) {
        return Answers{.full_name = form.full_name,
                       .user = form.user,
                       .password_hash = std::move(hash),
                       .host_name = form.host_name,
                       .region = host_region()};
    });
}

}  // namespace skep
