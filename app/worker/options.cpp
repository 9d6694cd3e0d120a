// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/options.hpp"

#include <string_view>

namespace skep {

Result<WorkerOptions> parse_options(int argc, char** argv) {
    WorkerOptions options;
    for (int index = 1; index < argc; ++index) {
        const std::string_view argument = argv[index];
        std::string* value = argument == "--bundle"   ? &options.bundle
                             : argument == "--spec"   ? &options.spec_file
                             : argument == "--socket" ? &options.socket
                             : argument == "--record-disks" ? &options.record_disks
                                                            : nullptr;
        if (value != nullptr) {
            if (index + 1 >= argc) {
                return fail(ErrorKind::invalid_input, "{} needs a value.", argument);
            }
            *value = argv[++index];
        } else if (argument == "--stdio") {
            options.stdio = true;
        } else if (argument == "--jit-stats") {
            options.jit_stats = true;
        } else if (argument == "--jit-perf-map") {
            options.jit_perf_map = true;
        } else if (argument == "--describe-devices") {
            const bool has_form = index + 1 < argc && argv[index + 1][0] != '-';
            options.describe_devices = has_form ? argv[++index] : "json";
            if (options.describe_devices != "json" && options.describe_devices != "text") {
                return fail(ErrorKind::invalid_input, "--describe-devices prints json or text, not '{}'.",
                            options.describe_devices);
            }
        } else if (argument == "--version") {
            options.version = true;
        } else {
            return fail(ErrorKind::invalid_input, "Unknown option {}; machines are started with skep or skepctl.", argument);
        }
    }
    const bool is_question = options.version || !options.describe_devices.empty();
    if (!is_question && options.bundle.empty() == options.spec_file.empty()) {
        return fail(ErrorKind::invalid_input, "Give --bundle DIR or --spec FILE; machines are started with skep or skepctl.");
    }
    return options;
}

}  // namespace skep
