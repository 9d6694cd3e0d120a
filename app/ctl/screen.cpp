// SPDX-License-Identifier: GPL-3.0-or-later
// screenshot, screendump and resize: what the guest's screen shows, and how large it is.
#include <sys/mman.h>
#include <sys/stat.h>

#include <memory>
#include <regex>

#include "app/ctl/commands.hpp"
#include "app/ctl/machine_argument.hpp"
#include "app/ctl/png.hpp"
#include "vmm/base/files.hpp"

namespace skep {
namespace {

constexpr uint64_t k_most_pixels = uint64_t{64} << 20;

// The worker's picture, checked against the file that it is said to be in.
class SharedPicture {
  public:
    [[nodiscard]] static Result<SharedPicture> map(const Fd& file, int64_t width, int64_t height) {
        SharedPicture picture;
        struct stat info{};
        const bool sane = width > 0 && height > 0 && width <= INT16_MAX && height <= INT16_MAX &&
                          static_cast<uint64_t>(width * height) <= k_most_pixels;
        if (!sane || fstat(file.get(), &info) != 0 || info.st_size < width * height * 4) {
            return fail(ErrorKind::protocol, "The worker's picture of the screen is not what it says.");
        }
        picture.m_width = static_cast<uint32_t>(width);
        picture.m_height = static_cast<uint32_t>(height);
        picture.m_pixels.resize(static_cast<size_t>(width * height));
        const size_t bytes = picture.m_pixels.size() * sizeof(uint32_t);
        if (pread(file.get(), picture.m_pixels.data(), bytes, 0) != static_cast<ssize_t>(bytes)) {
            return fail_errno(errno, "Cannot read the worker's picture of the screen");
        }
        return picture;
    }
    [[nodiscard]] std::span<const uint32_t> pixels() const { return m_pixels; }
    [[nodiscard]] uint32_t width() const { return m_width; }
    [[nodiscard]] uint32_t height() const { return m_height; }

  private:
    std::vector<uint32_t> m_pixels;
    uint32_t m_width = 0;
    uint32_t m_height = 0;
};

class ScreenshotCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "screenshot"; }
    [[nodiscard]] const char* help() const override { return "Write what the screen shows to a PNG file"; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        app.add_option("file", m_file, "PNG file to write")->required();
    }
    [[nodiscard]] Result<int> run(const Output& output) override {
        auto client = m_machine.attach();
        if (!client) {
            return tl::unexpected<Error>(client.error());
        }
        const auto reply = client->request(MessageType::screen_shot);
        if (!reply) {
            return tl::unexpected<Error>(reply.error());
        }
        const auto picture = SharedPicture::map(client->take_fd(), reply->integer("width"), reply->integer("height"));
        if (!picture) {
            return tl::unexpected<Error>(picture.error());
        }
        if (const Status written = replace_file(m_file, encode_png(picture->pixels(), picture->width(), picture->height())); !written) {
            return tl::unexpected<Error>(written.error());
        }
        const std::string& machine = client->greeting().vm_name;
        output.print(OrderedJson{{"name", machine}, {"file", m_file}, {"width", picture->width()}, {"height", picture->height()}},
                     fmt::format("'{}' shows {}x{} pixels; they are in '{}'.\n", machine, picture->width(), picture->height(), m_file));
        return 0;
    }

  private:
    MachineArgument m_machine;
    std::string m_file;
};

class ScreendumpCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "screendump"; }
    [[nodiscard]] const char* help() const override { return "Print the characters of a text-mode screen"; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        app.add_flag("--text", m_as_text, "As text (there is no other form)");
    }
    [[nodiscard]] Result<int> run(const Output& output) override {
        auto client = m_machine.attach();
        const auto reply = client.and_then([](ControlClient& attached) { return attached.request(MessageType::screen_text); });
        if (!reply) {
            return tl::unexpected<Error>(reply.error());
        }
        const std::string text = reply->text("text");
        output.print(OrderedJson{{"name", client->greeting().vm_name},
                                 {"columns", reply->integer("columns")},
                                 {"rows", reply->integer("rows")},
                                 {"cursor_column", reply->integer("cursor_column")},
                                 {"cursor_row", reply->integer("cursor_row")},
                                 {"text", text}},
                     text);
        return 0;
    }

  private:
    MachineArgument m_machine;
    bool m_as_text = true;
};

class ResizeCommand final : public Command {
  public:
    [[nodiscard]] const char* name() const override { return "resize"; }
    [[nodiscard]] const char* help() const override { return "Tell the guest that its monitor has another size"; }
    void declare(CLI::App& app) override {
        m_machine.declare(app);
        app.add_option("size", m_size, "Width and height in pixels, as in 1280x800")->required()->type_name("WxH");
    }
    [[nodiscard]] Result<int> run(const Output& output) override {
        std::smatch parts;
        if (!std::regex_match(m_size, parts, std::regex("([0-9]{1,5})x([0-9]{1,5})"))) {
            return fail(ErrorKind::invalid_input, "'{}' is no size; write it as in 1280x800.", m_size);
        }
        const MessageValues values{{"width", int64_t{std::stoi(parts[1])}}, {"height", int64_t{std::stoi(parts[2])}}};
        auto client = m_machine.attach();
        const auto reply = client.and_then([&](ControlClient& attached) { return attached.request(MessageType::screen_resize, values); });
        if (!reply) {
            return tl::unexpected<Error>(reply.error());
        }
        output.print(OrderedJson{{"name", client->greeting().vm_name}, {"done", true}},
                     fmt::format("'{}' has been told that its screen is {} now.\n", client->greeting().vm_name, m_size));
        return 0;
    }

  private:
    MachineArgument m_machine;
    std::string m_size;
};

}  // namespace

std::vector<std::unique_ptr<Command>> make_screen_commands() {
    std::vector<std::unique_ptr<Command>> commands;
    commands.push_back(std::make_unique<ScreenshotCommand>());
    commands.push_back(std::make_unique<ScreendumpCommand>());
    commands.push_back(std::make_unique<ResizeCommand>());
    return commands;
}

}  // namespace skep
