// SPDX-License-Identifier: GPL-3.0-or-later
// The rules a spec must obey on this host: the same list for dialogs, command line and worker.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "vmm/spec/vm_spec.hpp"

namespace skep {

struct HostFacts {
    uint64_t memory_mib = 0;             // installed
    uint64_t available_memory_mib = 0;   // free or quickly reclaimable
    uint32_t cpus = 0;                   // online processors
};
[[nodiscard]] HostFacts read_host_facts();

enum class Severity { warning, error };

struct SpecProblem {
    std::string path;     // concrete field path: "memory", "disks.disk0.file"
    std::string message;  // one sentence
    Severity severity = Severity::error;
    bool operator==(const SpecProblem&) const = default;
};

// Pure: looks at no file. Zero fields of `host` are taken as unknown and not checked.
[[nodiscard]] std::vector<SpecProblem> validate(const VmSpec& spec, const HostFacts& host);
// Looks at the files the spec names: missing, unreadable, a directory, not writable, outside the bundle.
[[nodiscard]] std::vector<SpecProblem> validate_files(const VmSpec& spec, const std::filesystem::path& bundle_folder);

[[nodiscard]] bool has_errors(const std::vector<SpecProblem>& problems);
// The message of the first error, or an empty string.
[[nodiscard]] std::string first_error(const std::vector<SpecProblem>& problems);

// A machine's name: 1..64 characters, no '/', control characters, leading '.' or surrounding blanks. Empty string when
// it is good, else the sentence.
[[nodiscard]] std::string name_problem(const std::string& name);

}  // namespace skep
