// SPDX-License-Identifier: GPL-3.0-or-later
// wait-screen: until the guest shows or prints what is waited for, so that whole installations can be scripted.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <regex>
#include <thread>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"

namespace skep {
namespace {

using Time = std::chrono::steady_clock;
constexpr std::chrono::milliseconds k_screen_pace{200};
constexpr size_t k_longest_line = 4096;  // the matcher's stack grows with the line

// Cuts a serial line's bytes into lines as they are read: without carriage returns and terminal sequences.
class SerialLines {
  public:
    // Calls `see` with every line that has changed; true: it has seen enough.
    template <typename See>
    [[nodiscard]] bool add(std::string_view bytes, const See& see) {
        for (const char byte : bytes) {
            if (byte == '\n') {
                if (see(m_line)) {
                    return true;
                }
                m_line.clear();
            } else {
                take(byte);
            }
        }
        return see(m_line);  // a prompt has no newline
    }

  private:
    void take(char byte) {
        if (m_escape == Escape::started) {
            m_escape = byte == '[' ? Escape::sequence : Escape::none;
        } else if (m_escape == Escape::sequence) {
            m_escape = byte >= '@' && byte <= '~' ? Escape::none : Escape::sequence;
        } else if (byte == '\x1b') {
            m_escape = Escape::started;
        } else if (byte != '\r' && m_line.size() < k_longest_line) {
            m_line += byte;
        }
    }

    enum class Escape { none, started, sequence };
    Escape m_escape = Escape::none;
    std::string m_line;
};

class WaitScreenCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "wait-screen"; }
    [[nodiscard]] const char* help() const override { return "Wait until a line of the screen or of a serial port matches"; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        auto* const text = app.add_option("--text", m_text, "A line of the text-mode screen matches this")->type_name("REGEX");
        auto* const serial = app.add_option("--serial", m_serial, "A line that the serial port printed matches this")->type_name("REGEX");
        text->excludes(serial);
        app.add_option("--port", m_port, "Serial port, from 0")->capture_default_str();
        app.add_option("--timeout", m_timeout, "Give up after so many seconds")
            ->capture_default_str()
            ->type_name("SECONDS")
            ->check(CLI::Range(0.0, 1e6));
    }
    [[nodiscard]] Result<int> run(const Output& output) override {
        if (m_text.empty() == m_serial.empty()) {
            return fail(ErrorKind::invalid_input, "Say what to wait for: --text REGEX or --serial REGEX.");
        }
        const std::string& wanted = m_text.empty() ? m_serial : m_text;
        std::regex regex;
        try {
            regex.assign(wanted);
        } catch (const std::regex_error&) {
            return fail(ErrorKind::invalid_input, "'{}' is no regular expression.", wanted);
        }
        auto client = m_machine.attach();
        if (!client) {
            return tl::unexpected<Error>(client.error());
        }
        m_end = Time::now() + std::chrono::duration_cast<Time::duration>(std::chrono::duration<double>(m_timeout));
        const auto line = m_text.empty() ? watch_serial(*client, regex) : watch_screen(*client, regex);
        if (!line) {
            return tl::unexpected<Error>(line.error());
        }
        output.print(OrderedJson{{"name", client->greeting().vm_name}, {"line", *line}}, *line + "\n");
        return 0;
    }

  private:
    [[nodiscard]] tl::unexpected<Error> too_late() const {
        return fail(ErrorKind::cancelled, "'{}' did not come within {} s.", m_text.empty() ? m_serial : m_text, m_timeout);
    }

    static bool matches(const std::string& line, const std::regex& regex) { return std::regex_search(line, regex); }

    [[nodiscard]] Result<std::string> watch_screen(ControlClient& client, const std::regex& regex) const {
        while (true) {
            const auto reply = client.request(MessageType::screen_text);
            if (!reply && reply.error().kind != ErrorKind::unsupported) {  // graphics now, perhaps text later
                return tl::unexpected<Error>(reply.error());
            }
            std::string text = reply ? reply->text("text") : std::string();
            for (size_t start = 0; start < text.size();) {
                const size_t end = std::min(text.find('\n', start), text.size());
                std::string line = text.substr(start, std::min(end - start, k_longest_line));
                if (matches(line, regex)) {
                    return line;
                }
                start = end + 1;
            }
            if (Time::now() >= m_end) {
                return too_late();
            }
            std::this_thread::sleep_for(k_screen_pace);
        }
    }

    [[nodiscard]] Result<std::string> watch_serial(ControlClient& client, const std::regex& regex) const {
        auto console = client.open_console(m_port);
        if (!console) {
            return tl::unexpected<Error>(console.error());
        }
        SerialLines lines;
        std::string found;
        const auto see = [&](const std::string& line) {
            found = line;
            return matches(line, regex);
        };
        while (true) {
            std::array<char, 16 * 1024> bytes;
            const ssize_t got = read(console->socket.get(), bytes.data(), bytes.size());
            if (got > 0 && lines.add({bytes.data(), static_cast<size_t>(got)}, see)) {
                return found;
            }
            if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
                return fail(ErrorKind::io, "The machine ended, and '{}' had not come.", m_serial);
            }
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(m_end - Time::now()).count();
            if (left <= 0) {
                return too_late();
            }
            pollfd waiting{console->socket.get(), POLLIN, 0};
            poll(&waiting, 1, got > 0 ? 0 : static_cast<int>(std::min<int64_t>(left, 60'000)));
        }
    }

    MachineArgument m_machine;
    std::string m_text;
    std::string m_serial;
    unsigned m_port = 0;
    double m_timeout = 60;
    Time::time_point m_end;
};

}  // namespace

std::unique_ptr<Command> make_wait_screen_command() { return std::make_unique<WaitScreenCommand>(); }

}  // namespace skep
