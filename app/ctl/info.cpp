// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "vmm/spec/spec_fields.hpp"

namespace skep {
namespace {

class InfoCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "info"; }
    [[nodiscard]] const char* help() const override { return "Show a machine's settings and state"; }
    void declare(CLI::App& app) override { m_machine.declare(app); }

    [[nodiscard]] Result<int> run(const Output& output) override {
        const Result<Bundle> bundle = m_machine.find();
        const Result<VmSpec> spec = bundle.and_then([](const Bundle& found) { return found.load(); });
        if (!spec) {
            return tl::unexpected<Error>(spec.error());
        }
        OrderedJson json;
        std::string text;
        const auto add = [&](const std::string& key, const std::string& value) {
            json[key] = value;
            text += fmt::format("{:<22} {}\n", key, value);
        };
        for (const std::string& path : field_paths(*spec)) {
            add(path, get_field(*spec, path).value_or(""));
        }
        add("folder", bundle->folder().string());
        add_state(*bundle, json, text);
        output.print(json, text);
        return 0;
    }

  private:
    static std::vector<std::string> field_paths(const VmSpec& spec) {
        std::vector<std::string> paths;
        const auto items = [&](std::string_view general, std::string_view list, size_t count) {
            for (size_t index = 0; index < count && general.starts_with(list); ++index) {
                paths.push_back(fmt::format("{}[{}]{}", list, index, general.substr(list.size() + 2)));
            }
        };
        for (const FieldDescriptor* field : spec_fields()) {
            if (field->path.find("[]") == std::string_view::npos) {
                paths.emplace_back(field->path);
            }
            items(field->path, "disks", spec.disks.size());
            items(field->path, "cds", spec.cds.size());
            items(field->path, "networks", spec.networks.size());
            items(field->path, "modules", spec.modules.size());
        }
        return paths;
    }

    static void add_state(const Bundle& bundle, OrderedJson& json, std::string& text) {
        const WorkerState worker = worker_state(bundle);
        const std::string state = state_text(bundle);
        json["state"] = state;
        text += fmt::format("{:<22} {}\n", "state", state);
        if (worker.life == WorkerLife::ended || worker.life == WorkerLife::crashed) {
            json["last_exit"] = {{"code", worker.exit_code ? OrderedJson(*worker.exit_code) : OrderedJson()},
                                 {"message", worker.message}};
            text += fmt::format("{:<22} {}\n", "last exit", worker.message);
        }
        if (worker.life != WorkerLife::running) {
            return;
        }
        json["pid"] = worker.pid;
        auto client = attach(bundle, k_program_name, std::chrono::seconds(1));
        const auto status = client.and_then([](ControlClient& attached) { return attached.status(); });
        const auto info = client.and_then([](ControlClient& attached) { return attached.request(MessageType::info); });
        if (status) {
            json["status"] = {{"reason", status->reason}, {"uptime_ms", status->uptime_ms}, {"cpu_backend", status->cpu_backend},
                              {"cpu_reason", status->cpu_reason}};
            if (!status->reason.empty()) {
                text += fmt::format("{:<22} {}\n", "reason", status->reason);
            }
            text += fmt::format("{:<22} {}: {}\n", "processor", status->cpu_backend, status->cpu_reason);
            text += fmt::format("{:<22} {:.1f} s\n", "uptime", static_cast<double>(status->uptime_ms) / 1000);
        }
        if (info) {
            const std::string counters = info->object("info");
            const OrderedJson& worker_info = json["worker"] = OrderedJson::parse(counters);  // checked by the codec
            if (worker_info.contains("vnc_password")) {
                text += fmt::format("{:<22} 127.0.0.1:{}, password {}\n", "VNC viewers", worker_info.value("vnc_port", 0),
                                    worker_info.value("vnc_password", ""));
            }
            text += fmt::format("{:<22} {}\n", "worker", counters);
        }
    }

    MachineArgument m_machine;
};

}  // namespace

std::unique_ptr<Command> make_info_command() { return std::make_unique<InfoCommand>(); }

}  // namespace skep
