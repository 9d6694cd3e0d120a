// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/run_record.hpp"

#include <unistd.h>

#include <ctime>

#include "vmm/base/files.hpp"
#include "vmm/control/json_text.hpp"

namespace skep {
namespace {

constexpr size_t k_max_bytes = 16 * 1024;

std::filesystem::path record_file(const std::filesystem::path& bundle_folder) { return bundle_folder / "state/run.json"; }

template <typename Wanted>
Wanted number_or(const Json& json, const char* key, Wanted fallback) {
    const auto found = json.find(key);
    return found != json.end() && found->is_number_integer() ? found->get<Wanted>() : fallback;
}

}  // namespace

Status record_start(const std::filesystem::path& bundle_folder) {
    std::error_code ignored;
    std::filesystem::create_directory(bundle_folder / "state", ignored);  // a bundle made by hand may lack it
    const OrderedJson json{{"running", true}, {"pid", getpid()}, {"started", static_cast<int64_t>(std::time(nullptr))}};
    return replace_file(record_file(bundle_folder), print_json(json) + "\n");
}

Status record_exit(const std::filesystem::path& bundle_folder, int exit_code, const std::string& message) {
    const auto before = read_run_record(bundle_folder);
    const OrderedJson json{{"running", false},
                           {"pid", getpid()},
                           {"started", before ? before->started : 0},
                           {"exit_code", exit_code},
                           {"message", message.substr(0, k_max_bytes / 8)}};
    return replace_file(record_file(bundle_folder), print_json(json) + "\n");
}

std::optional<RunRecord> read_run_record(const std::filesystem::path& bundle_folder) {
    const auto text = read_small_file(record_file(bundle_folder), k_max_bytes);
    const auto json = text ? parse_json(*text) : std::nullopt;
    if (!json || !json->is_object()) {
        return std::nullopt;
    }
    RunRecord record;
    record.running = json->value("running", Json()) == Json(true);
    record.pid = number_or<pid_t>(*json, "pid", 0);
    record.started = number_or<int64_t>(*json, "started", 0);
    if (!record.running) {
        record.exit_code = number_or<int>(*json, "exit_code", static_cast<int>(ExitCode::error));
    }
    const auto message = json->find("message");
    record.message = message != json->end() && message->is_string() ? message->get<std::string>() : "";
    return record;
}

}  // namespace skep
