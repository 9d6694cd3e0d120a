// SPDX-License-Identifier: GPL-3.0-or-later
// usb attach, usb detach and usb list: sticks of a running machine.
#include <algorithm>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"

namespace skep {
namespace {

class UsbCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "usb"; }
    [[nodiscard]] const char* help() const override { return "Plug USB sticks into a running machine, list them and pull them out"; }
    void declare(CLI::App& app) override {
        app.require_subcommand(1);
        m_attach = app.add_subcommand("attach", "Plug in a stick: a raw image file");
        m_machine.declare(*m_attach);
        m_attach->add_option("file", m_file, "Image of the stick")->required();
        m_attach->add_flag("--read-only", m_read_only, "The guest cannot change it");
        m_attach->add_option("--id", m_stick, "Name to know it by (usb0, usb1... when left out)")->type_name("ID");
        m_detach = app.add_subcommand("detach", "Pull a stick out; let the guest unmount it first");
        m_machine.declare(*m_detach);
        m_detach->add_option("stick", m_stick, "Its name (the only one when left out)")->type_name("ID");
        m_list = app.add_subcommand("list", "Show what is plugged in");
        m_machine.declare(*m_list);
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        Result<ControlClient> client = m_machine.attach();
        if (!client) {
            return tl::unexpected<Error>(client.error());
        }
        return m_list->parsed() ? list(*client, output) : change(*client, output);
    }

  private:
    [[nodiscard]] Result<int> change(ControlClient& client, const Output& output) const {
        std::error_code ignored;
        const bool attaches = m_attach->parsed();
        const std::string file = attaches ? std::filesystem::absolute(m_file, ignored).lexically_normal().string() : "";
        auto reply = attaches ? client.request(MessageType::usb_attach,
                                               {{"file", file}, {"read_only", m_read_only}, {"stick", m_stick}})
                              : client.request(MessageType::usb_detach, {{"stick", m_stick}});
        if (!reply) {
            return tl::unexpected<Error>(reply.error());
        }
        const std::string stick = reply->text("stick");
        const std::string& name = client.greeting().vm_name;
        output.print(OrderedJson{{"name", name}, {"stick", stick}, {"file", file}},
                     attaches ? fmt::format("'{}' is plugged into '{}' as '{}'.\n", file, name, stick)
                              : fmt::format("The USB stick '{}' was pulled out of '{}'.\n", stick, name));
        return 0;
    }

    [[nodiscard]] static Result<int> list(ControlClient& client, const Output& output) {
        auto reply = client.request(MessageType::usb_list, {});
        if (!reply) {
            return tl::unexpected<Error>(reply.error());
        }
        const auto sticks = parse_json(std::get<JsonText>(reply->values.at("sticks")).text);
        OrderedJson known = OrderedJson::array();
        std::string text;
        const Json by_id = sticks && sticks->is_object() ? *sticks : Json::object();
        for (const auto& [id, stick] : by_id.items()) {
            const bool read_only = stick.is_object() && stick.contains("read_only") && stick["read_only"] == true;
            const bool named = stick.is_object() && stick.contains("file") && stick["file"].is_string();
            const std::string file = named ? stick["file"].get<std::string>() : "";
            known.push_back({{"stick", id}, {"file", file}, {"read_only", read_only}});
            text += fmt::format("{}  {}{}\n", id, file, read_only ? " (read only)" : "");
        }
        output.print(known, text.empty() ? "No USB stick is plugged in.\n" : text);
        return 0;
    }

    MachineArgument m_machine;
    CLI::App* m_attach = nullptr;
    CLI::App* m_detach = nullptr;
    CLI::App* m_list = nullptr;
    std::string m_file;
    std::string m_stick;
    bool m_read_only = false;
};

}  // namespace

std::unique_ptr<Command> make_usb_command() { return std::make_unique<UsbCommand>(); }

}  // namespace skep
