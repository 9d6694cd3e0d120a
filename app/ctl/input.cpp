// SPDX-License-Identifier: GPL-3.0-or-later
// sendkeys, type and click: the guest's keyboard and pointer. Each ends when the guest has been given everything.
#include <algorithm>
#include <memory>
#include <thread>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"

namespace skep {
namespace {

class InputCommand : public Command {
  public:
    void declare(CLI::App& app) final {
        m_machine.declare(app);
        declare_input(app);
    }
    [[nodiscard]] Result<int> run(const Output& output) final {
        auto client = m_machine.attach();
        const auto reply = client.and_then([&](ControlClient& attached) { return attached.request(type(), values()); });
        if (!reply) {
            return tl::unexpected<Error>(reply.error());
        }
        constexpr int64_t k_longest_ms = 3'600'000;
        std::this_thread::sleep_for(std::chrono::milliseconds(std::clamp<int64_t>(reply->integer("wait_ms"), 0, k_longest_ms)));
        output.print(OrderedJson{{"name", client->greeting().vm_name}, {"done", true}}, "");
        return 0;
    }

  protected:
    virtual void declare_input(CLI::App& app) = 0;
    [[nodiscard]] virtual MessageType type() const = 0;
    [[nodiscard]] virtual MessageValues values() const = 0;

  private:
    MachineArgument m_machine;
};

class SendkeysCommand final : public InputCommand {
  public:
    [[nodiscard]] const char* name() const override { return "sendkeys"; }
    [[nodiscard]] const char* help() const override { return "Press keys of the guest's keyboard, as in ctrl-alt-delete or ret"; }

  protected:
    void declare_input(CLI::App& app) override {
        app.add_option("keys", m_keys, "Keys, one after the other; '-' joins those held together")->required()->type_name("KEYS");
        app.add_option("--hold", m_hold_ms, "How long each is held, in milliseconds")->capture_default_str()->check(CLI::Range(1, 10'000));
    }
    [[nodiscard]] MessageType type() const override { return MessageType::input_keys; }
    [[nodiscard]] MessageValues values() const override {
        return {{"keys", fmt::format("{}", fmt::join(m_keys, " "))}, {"hold_ms", int64_t{m_hold_ms}}};
    }

  private:
    std::vector<std::string> m_keys;
    int m_hold_ms = 60;
};

class TypeCommand final : public InputCommand {
  public:
    [[nodiscard]] const char* name() const override { return "type"; }
    [[nodiscard]] const char* help() const override { return "Type text on the guest's keyboard (a US one)"; }

  protected:
    void declare_input(CLI::App& app) override {
        app.add_option("text", m_text, "Text; a newline is Return")->required();
        app.add_flag("--enter", m_enter, "Press Return after it");
    }
    [[nodiscard]] MessageType type() const override { return MessageType::input_type; }
    [[nodiscard]] MessageValues values() const override { return {{"text", m_enter ? m_text + "\n" : m_text}}; }

  private:
    std::string m_text;
    bool m_enter = false;
};

class ClickCommand final : public InputCommand {
  public:
    [[nodiscard]] const char* name() const override { return "click"; }
    [[nodiscard]] const char* help() const override { return "Click at a place of the guest's screen"; }

  protected:
    void declare_input(CLI::App& app) override {
        app.add_option("x", m_x, "Pixels from the left edge")->required()->check(CLI::NonNegativeNumber);
        app.add_option("y", m_y, "Pixels from the top edge")->required()->check(CLI::NonNegativeNumber);
        app.add_option("--button", m_button, "left, right or middle")
            ->capture_default_str()
            ->check(CLI::IsMember({"left", "right", "middle"}));
    }
    [[nodiscard]] MessageType type() const override { return MessageType::input_click; }
    [[nodiscard]] MessageValues values() const override {
        return {{"x", int64_t{m_x}}, {"y", int64_t{m_y}}, {"button", m_button}};
    }

  private:
    int m_x = 0;
    int m_y = 0;
    std::string m_button = "left";
};

}  // namespace

std::vector<std::unique_ptr<Command>> make_input_commands() {
    std::vector<std::unique_ptr<Command>> commands;
    commands.push_back(std::make_unique<SendkeysCommand>());
    commands.push_back(std::make_unique<TypeCommand>());
    commands.push_back(std::make_unique<ClickCommand>());
    return commands;
}

}  // namespace skep
