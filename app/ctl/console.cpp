// SPDX-License-Identifier: GPL-3.0-or-later
// console: a serial port on the user's terminal, or as a plain pipe.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "app/ctl/terminal.hpp"
#include "vmm/base/files.hpp"
#include "vmm/control/firmware_wrap.hpp"

namespace skep {
namespace {

enum class Step { go_on, done };

class ConsoleSession {
  public:
    ConsoleSession(ControlClient& client, ConsoleLink link, bool is_terminal)
        : m_client(client),
          m_console(std::move(link.socket)),
          m_history_left(link.history_bytes),
          m_is_terminal(is_terminal) {}

    // Until the machine ends, the user leaves, or a signal comes.
    int run() {
        const EndSignals signals;
        while (true) {
            std::array<pollfd, 4> waiting{pollfd{m_console.get(), console_events(), 0},
                                          pollfd{m_input_open && m_unsent.empty() ? STDIN_FILENO : -1, POLLIN, 0},
                                          pollfd{m_client_open ? m_client.fd() : -1, POLLIN, 0},
                                          pollfd{signals.fd(), POLLIN, 0}};
            if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) {
                return 1;
            }
            if (const int number = signals.take(); number != 0) {
                return 128 + number;
            }
            if ((waiting[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && take_input() == Step::done) {
                return 0;
            }
            if (!m_unsent.empty()) {
                send_input();
            }
            if (waiting[2].revents != 0 && !m_client.poll()) {
                m_client_open = false;  // the console's own end follows, after its last bytes
            }
            if ((waiting[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && copy_output() == Step::done) {
                return 0;
            }
        }
    }

    // What was printed before. It ends early only when the guest printed so much since then that the oldest is gone.
    void print_history() {
        constexpr int k_patience_ms = 1000;
        pollfd waiting{m_console.get(), POLLIN, 0};
        while (m_history_left > 0 && poll(&waiting, 1, k_patience_ms) > 0 && copy_output(m_history_left) == Step::go_on) {
        }
    }

  private:
    [[nodiscard]] short console_events() const { return static_cast<short>(POLLIN | (m_unsent.empty() ? 0 : POLLOUT)); }

    Step take_input() {
        std::array<char, 4096> buffer;
        const Typed typed = read_typed(STDIN_FILENO, buffer.data(), buffer.size(), m_is_terminal);
        m_unsent += typed.bytes;
        m_input_open = !typed.ended;
        return typed.left ? Step::done : Step::go_on;
    }

    void send_input() {
        const ssize_t sent = write(m_console.get(), m_unsent.data(), m_unsent.size());
        if (sent > 0) {
            m_unsent.erase(0, static_cast<size_t>(sent));
        } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            m_unsent.clear();  // the end is seen on the reading side
        }
    }

    Step copy_output(uint64_t most = ~uint64_t{0}) {
        std::array<char, 16 * 1024> buffer;
        const ssize_t got = read(m_console.get(), buffer.data(), std::min<uint64_t>(buffer.size(), most));
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return Step::go_on;
        }
        if (got <= 0) {
            return Step::done;
        }
        m_history_left -= std::min(m_history_left, static_cast<uint64_t>(got));
        const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
        return write_all(STDOUT_FILENO, m_to_terminal ? m_wrap.pass(bytes) : bytes) ? Step::go_on : Step::done;
    }

    ControlClient& m_client;
    Fd m_console;
    uint64_t m_history_left;
    bool m_is_terminal;
    const bool m_to_terminal = isatty(STDOUT_FILENO) != 0;  // a pipe gets the guest's own bytes
    FirmwareWrap m_wrap;
    bool m_input_open = true;
    bool m_client_open = true;
    std::string m_unsent;
};

class ConsoleCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "console"; }
    [[nodiscard]] const char* help() const override { return "Attach to a serial port (leave with Ctrl-])"; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        app.add_option("--port", m_port, "Serial port, from 0")->capture_default_str();
        app.add_flag("--live", m_live, "Leave out what was printed before");
        app.add_flag("--history", m_history, "Only print what was printed before, and end");
    }

    [[nodiscard]] Result<int> run(const Output& output) override {
        Result<ControlClient> client = m_machine.attach();
        if (!client) {
            return tl::unexpected<Error>(client.error());
        }
        Result<ConsoleLink> console = client->open_console(m_port, !m_live);
        if (!console) {
            return tl::unexpected<Error>(console.error());
        }
        if (m_history) {
            ConsoleSession(*client, std::move(*console), false).print_history();
            return 0;
        }
        if (isatty(STDIN_FILENO) != 0) {
            output.note(fmt::format("Attached to '{}'; leave with Ctrl-].", client->greeting().vm_name));
        }
        const RawTerminal terminal(STDIN_FILENO);
        return ConsoleSession(*client, std::move(*console), terminal.is_terminal()).run();
    }

  private:
    MachineArgument m_machine;
    unsigned m_port = 0;
    bool m_live = false;
    bool m_history = false;
};

}  // namespace

std::unique_ptr<Command> make_console_command() { return std::make_unique<ConsoleCommand>(); }

}  // namespace skep
