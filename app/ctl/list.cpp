// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {

std::string state_text(const Bundle& bundle) {
    const WorkerState state = worker_state(bundle);
    if (state.life == WorkerLife::crashed) {
        return "crashed";
    }
    if (state.life != WorkerLife::running) {
        return "stopped";
    }
    using std::chrono::milliseconds;
    const auto status = attach(bundle, k_program_name, milliseconds(1000)).and_then([](ControlClient client) {
        return client.status(milliseconds(1000));
    });
    return status ? to_text(status->state) : "not answering";
}

namespace {

constexpr uint64_t k_mib = 1024 * 1024;

class ListCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "list"; }
    [[nodiscard]] const char* help() const override { return "Show all machines"; }
    void declare(CLI::App&) override {}

    [[nodiscard]] Result<int> run(const Output& output) override {
        OrderedJson json = OrderedJson::array();
        std::string text;
        for (const BundleEntry& entry : list_bundles()) {
            OrderedJson one{{"name", entry.name}, {"folder", entry.folder.string()}};
            if (!entry.spec) {
                one["state"] = "broken";
                one["error"] = entry.error;
                text += fmt::format("{:<24} {:<14} {}\n", entry.name, "broken", entry.error);
                json.push_back(std::move(one));
                continue;
            }
            const auto bundle = Bundle::open(entry.folder);
            const std::string state = bundle ? state_text(*bundle) : "gone";
            one["id"] = entry.spec->id;
            one["state"] = state;
            one["memory_mib"] = entry.spec->memory_mib;
            one["cpus"] = entry.spec->cpus;
            text += fmt::format("{:<24} {:<14} {:>8} {:>3} cpu\n", entry.name, state, print_size(entry.spec->memory_mib * k_mib),
                                entry.spec->cpus);
            json.push_back(std::move(one));
        }
        output.print(json, text.empty() ? "There are no machines yet; make one with `skepctl create`.\n" : text);
        return 0;
    }
};

}  // namespace

std::unique_ptr<Command> make_list_command() { return std::make_unique<ListCommand>(); }

}  // namespace skep
