// SPDX-License-Identifier: GPL-3.0-or-later
// skep-vmm: the worker. One process per running machine.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>

#include "app/worker/describe_devices.hpp"
#include "app/worker/options.hpp"
#include "app/worker/worker.hpp"
#include "vmm/base/log.hpp"
#include "vmm/control/runtime_dir.hpp"
#include "vmm/spec/bundle.hpp"
#include "vmm/spec/spec_yaml.hpp"
#include "vmm/spec/validate.hpp"

namespace skep {
namespace {

constexpr int k_error = static_cast<int>(ExitCode::error);
constexpr uint64_t k_most_log_bytes = 4 << 20;

Result<std::string> read_spec_text(const std::string& file) {
    if (file == "-") {
        return std::string(std::istreambuf_iterator<char>(std::cin), {});
    }
    std::ifstream stream(file, std::ios::binary);
    if (!stream) {
        return fail(ErrorKind::not_found, "Cannot read the machine's description {}.", file);
    }
    std::string text(std::istreambuf_iterator<char>(stream), {});
    return text;
}

Status check(const VmSpec& spec, const std::filesystem::path& folder) {
    std::vector<SpecProblem> problems = validate(spec, read_host_facts());
    const std::vector<SpecProblem> files = validate_files(spec, folder);
    problems.insert(problems.end(), files.begin(), files.end());
    for (const SpecProblem& problem : problems) {
        if (problem.severity == Severity::warning) {
            log_warning("{}", problem.message);
        }
    }
    if (has_errors(problems)) {
        return fail(ErrorKind::invalid_input, "{}", first_error(problems));
    }
    return {};
}

Result<WorkerOutcome> run_worker(WorkerInputs inputs) {
    Worker worker(std::move(inputs));
    if (Status started = worker.start(); !started) {
        return tl::unexpected(started.error());
    }
    return worker.run();
}

Result<WorkerOutcome> run_spec(const WorkerOptions& options) {
    auto text = read_spec_text(options.spec_file);
    if (!text) {
        return tl::unexpected(text.error());
    }
    auto spec = parse_spec(*text, options.spec_file == "-" ? "standard input" : options.spec_file);
    if (!spec) {
        return tl::unexpected(spec.error());
    }
    if (Status good = check(*spec, std::filesystem::current_path()); !good) {
        return tl::unexpected(good.error());
    }
    WorkerInputs inputs{.spec = *spec, .resolve = {}, .folder = {}, .socket = options.socket, .version = SKEP_VERSION};
    inputs.resolve = [](const std::string& file) -> Result<std::filesystem::path> { return std::filesystem::absolute(file); };
    inputs.serial_zero = options.stdio ? SerialZero::standard_streams : SerialZero::control_socket;
    inputs.jit_stats = options.jit_stats;
    inputs.jit_perf_map = options.jit_perf_map;
    inputs.record_disks = options.record_disks;
    return run_worker(std::move(inputs));
}

Result<WorkerOutcome> run_locked_bundle(const Bundle& bundle, const WorkerOptions& options) {
    auto spec = bundle.load();
    if (!spec) {
        return tl::unexpected(spec.error());
    }
    if (Status good = check(*spec, bundle.folder()); !good) {
        return tl::unexpected(good.error());
    }
    std::filesystem::path socket = options.socket;
    if (socket.empty()) {
        auto prepared = prepare_socket(spec->id);
        if (!prepared) {
            return tl::unexpected(prepared.error());
        }
        socket = *prepared;
    }
    WorkerInputs inputs{.spec = *spec, .resolve = {}, .folder = bundle.folder(), .socket = socket, .version = SKEP_VERSION};
    inputs.resolve = [&bundle](const std::string& file) { return bundle.resolve(file); };
    inputs.serial_zero = options.stdio ? SerialZero::standard_streams : SerialZero::control_socket;
    inputs.jit_stats = options.jit_stats;
    inputs.jit_perf_map = options.jit_perf_map;
    inputs.record_disks = options.record_disks;
    return run_worker(std::move(inputs));
}

Result<WorkerOutcome> run_bundle(const WorkerOptions& options) {
    auto bundle = Bundle::open(options.bundle);
    if (!bundle) {
        return tl::unexpected(bundle.error());
    }
    auto lock = RunLock::acquire(bundle->folder());
    if (!lock) {
        return tl::unexpected(lock.error());
    }
    if (Status recorded = record_start(bundle->folder()); !recorded) {
        return tl::unexpected(recorded.error());
    }
    limit_log_file(bundle->worker_log(), k_most_log_bytes);
    Result<WorkerOutcome> outcome = run_locked_bundle(*bundle, options);
    const int code = outcome ? outcome->exit_code : k_error;
    const std::string message = outcome ? outcome->message : outcome.error().message;
    if (Status recorded = record_exit(bundle->folder(), code, message); !recorded) {
        log_error("{}", recorded.error().message);
    }
    return outcome;
}

void block_signals() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
}

}  // namespace
}  // namespace skep

int main(int argc, char** argv) {
    auto options = skep::parse_options(argc, argv);
    if (!options) {
        std::fprintf(stderr, "skep-vmm: %s\n", options.error().message.c_str());
        return skep::k_error;
    }
    if (options->version) {
        std::puts("skep-vmm " SKEP_VERSION);
        return 0;
    }
    if (!options->describe_devices.empty()) {
        std::fputs((options->describe_devices == "text" ? skep::device_text() : skep::device_json()).c_str(), stdout);
        return 0;
    }
    if (options->stdio) {
        skep::set_log_level(skep::LogLevel::warning);  // the terminal belongs to the guest
    }
    skep::block_signals();
    const auto outcome = options->bundle.empty() ? skep::run_spec(*options) : skep::run_bundle(*options);
    if (!outcome) {
        std::fprintf(stderr, "skep-vmm: %s\n", outcome.error().message.c_str());
        return skep::k_error;
    }
    return outcome->exit_code;
}
