// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/screen_service.hpp"

#include <sys/mman.h>
#include <sys/random.h>

#include <array>
#include <cerrno>
#include <sstream>

#include "display/input/key_names.hpp"
#include "vmm/base/files.hpp"
#include "vmm/control/socket.hpp"

namespace skep {
namespace {

constexpr size_t k_most_chords = 1000;

Result<uint8_t> button_by_name(const std::string& name) {
    constexpr std::array<std::pair<std::string_view, uint8_t>, 3> k_names{
        {{"left", k_button_left}, {"right", k_button_right}, {"middle", k_button_middle}}};
    for (const auto& [known, button] : k_names) {
        if (name == known) {
            return button;
        }
    }
    return fail(ErrorKind::invalid_input, "There is no mouse button '{}'; say left, right or middle.", name);
}

// As long as VNC's passwords can be: eight letters and digits, 40 bits. It keeps this computer's other users out; further
// away the port does not reach.
Result<std::string> make_password() {
    constexpr std::string_view k_letters = "abcdefghijkmnpqrstuvwxyz23456789";  // none that looks like another
    static_assert(k_letters.size() == 32);
    std::array<unsigned char, 8> bytes{};
    if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
        return fail_errno(errno, "Cannot make a password for VNC viewers");
    }
    std::string password;
    for (const unsigned char byte : bytes) {
        password += k_letters[byte % k_letters.size()];
    }
    return password;
}

Result<uint64_t> in_milliseconds(const Result<Typist::Milliseconds>& time) {
    return time.map([](Typist::Milliseconds wait) { return static_cast<uint64_t>(wait.count()); });
}

}  // namespace

std::filesystem::path vnc_socket_beside(const std::filesystem::path& control_socket) {
    return control_socket.filename() == "ctl.sock" ? control_socket.parent_path() / "vnc.sock"
                                                   : std::filesystem::path(control_socket.native() + ".vnc");
}

ScreenService::ScreenService(EventLoop& loop, Screen* screen, InputHub& input, const std::string& machine_name)
    : m_screen(screen), m_input(input), m_typist(loop, input) {
    if (screen != nullptr) {
        m_server = std::make_unique<RfbServer>(loop, *screen, input, machine_name);
    }
}

ScreenService::~ScreenService() {
    if (!m_socket.empty()) {
        ::unlink(m_socket.c_str());
    }
}

Status ScreenService::listen(const std::filesystem::path& control_socket) {
    if (!m_server) {
        return {};
    }
    const std::filesystem::path path = vnc_socket_beside(control_socket);
    Result<Fd> listener = listen_unix(path);
    if (!listener) {
        return tl::unexpected(listener.error());
    }
    m_socket = path;
    m_server->listen_local(std::move(*listener));
    return {};
}

Status ScreenService::listen_tcp(uint16_t port) {
    if (!m_server) {
        return {};
    }
    Result<std::string> password = make_password();
    Result<Fd> listener = password.and_then([port](const std::string&) { return listen_loopback(port); });
    if (!listener) {
        return tl::unexpected(listener.error());
    }
    m_password = std::move(*password);
    m_server->listen_tcp(std::move(*listener), m_password);
    return {};
}

Status ScreenService::need_screen() const {
    if (m_screen == nullptr) {
        return fail(ErrorKind::not_found,
                    "This machine has no screen, only serial consoles; give it a display in its settings.");
    }
    return {};
}

Result<Fd> ScreenService::open_viewer() {
    return need_screen().and_then([&] { return m_server->open_viewer(); });
}

ScreenSize ScreenService::current_size() {
    const Screen::Update update = Screen::View(*m_screen).take();
    return update.surface != nullptr ? update.surface->size() : ScreenSize{};
}

Result<ScreenState> ScreenService::state() {
    return need_screen().map([&] {
        const ScreenSize size = current_size();
        return ScreenState{.width = size.width,
                           .height = size.height,
                           .text_mode = m_screen->text().has_value(),
                           .absolute_pointer = m_input.pointer_is_absolute()};
    });
}

Result<ScreenShot> ScreenService::shoot() {
    if (const Status there = need_screen(); !there) {
        return tl::unexpected(there.error());
    }
    Screen::View view(*m_screen);
    if (view.take().surface == nullptr) {
        return fail(ErrorKind::not_found, "The guest has not shown anything yet; try again.");
    }
    ScreenShot shot;
    shot.pixels = Fd(memfd_create("screenshot", MFD_CLOEXEC));
    bool written = false;
    view.read([&](const Surface& surface) {
        shot.width = surface.size().width;
        shot.height = surface.size().height;
        const std::string_view bytes(reinterpret_cast<const char*>(surface.pixels()), surface.bytes());
        written = shot.pixels.valid() && write_all(shot.pixels.get(), bytes);
    });
    if (!written) {
        return fail(ErrorKind::no_space, "There is no memory left on this host for a picture of the screen.");
    }
    return shot;
}

Result<ScreenText> ScreenService::text() {
    if (const Status there = need_screen(); !there) {
        return tl::unexpected(there.error());
    }
    const std::optional<TextCells> cells = m_screen->text();
    if (!cells) {
        return fail(ErrorKind::unsupported, "The guest shows graphics now, which hold no text to take; take a screenshot.");
    }
    return ScreenText{.text = cells->utf8(),
                      .columns = cells->columns,
                      .rows = cells->rows,
                      .cursor_column = cells->cursor_column,
                      .cursor_row = cells->cursor_row};
}

Status ScreenService::resize(uint32_t width, uint32_t height) {
    if (const Status there = need_screen(); !there) {
        return there;
    }
    const ScreenSize size{width, height};
    if (!size.acceptable()) {
        return fail(ErrorKind::invalid_input, "A screen cannot be {}x{}; at most {}x{} and {} million pixels can be shown.", width,
                    height, k_max_screen_width, k_max_screen_height, k_max_screen_pixels >> 20);
    }
    if (!m_screen->suggest_size(size)) {
        return fail(ErrorKind::unsupported, "This machine's display cannot tell the guest another size; the guest chooses it.");
    }
    return {};
}

Result<uint64_t> ScreenService::send_keys(const std::string& chords, uint64_t hold_ms) {
    std::vector<std::vector<KeyCode>> parsed;
    std::istringstream words(chords);
    for (std::string word; words >> word;) {
        auto chord = parse_chord(word);
        if (!chord) {
            return tl::unexpected(chord.error());
        }
        parsed.push_back(std::move(*chord));
    }
    if (parsed.empty() || parsed.size() > k_most_chords) {
        return fail(ErrorKind::invalid_input, "Between 1 and {} keys can be pressed at once, not {}.", k_most_chords, parsed.size());
    }
    Result<Typist::Milliseconds> time{};
    for (const auto& chord : parsed) {
        time = m_typist.press(chord, Typist::Milliseconds(hold_ms));
    }
    return in_milliseconds(time);
}

Result<uint64_t> ScreenService::type_text(const std::string& text) {
    return in_milliseconds(strokes_of_text(text).and_then([&](const auto& strokes) { return m_typist.type(strokes); }));
}

Result<uint64_t> ScreenService::click(uint32_t x, uint32_t y, const std::string& button) {
    const auto which = button_by_name(button);
    const Status there = need_screen();
    if (!which || !there) {
        return tl::unexpected(which ? there.error() : which.error());
    }
    const ScreenSize size = current_size();
    if (x >= size.width || y >= size.height) {
        return fail(ErrorKind::invalid_input, "The place {},{} is not on the screen of {}x{}.", x, y, size.width, size.height);
    }
    if (!m_input.pointer_is_absolute()) {
        return fail(ErrorKind::unsupported, "No tablet of the guest listens, and where its mouse points is not known; use the keyboard.");
    }
    return in_milliseconds(m_typist.click({x, y, size.width, size.height}, *which));
}

}  // namespace skep
