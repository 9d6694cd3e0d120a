// SPDX-License-Identifier: GPL-3.0-or-later
// The argument NAME of most commands.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "app/ctl/command.hpp"
#include "vmm/control/client.hpp"
#include "vmm/control/launcher.hpp"
#include "vmm/spec/bundle.hpp"

namespace skep {

class MachineArgument {
  public:
    void declare(CLI::App& app) { app.add_option("machine", m_name, "Name, id or folder of a machine")->required(); }
    [[nodiscard]] Result<Bundle> find() const { return find_bundle(m_name); }
    [[nodiscard]] Result<ControlClient> attach() const {
        std::error_code ignored;
        if (std::filesystem::is_socket(m_name, ignored)) {  // of a machine that `run --socket` runs
            return ControlClient::connect(m_name, k_program_name);
        }
        return find().and_then([](const Bundle& bundle) { return skep::attach(bundle, k_program_name); });
    }
    [[nodiscard]] const std::string& name() const { return m_name; }

  private:
    std::string m_name;
};

// "running", "stopped", "crashed": the state as list and info show it; asks the worker only when it runs.
[[nodiscard]] std::string state_text(const Bundle& bundle);

}  // namespace skep
