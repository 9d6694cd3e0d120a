// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/control/screen_requests.hpp"

#include <limits>

namespace skep {
namespace {

constexpr int64_t k_default_hold_ms = 60;
constexpr int64_t k_longest_hold_ms = 10'000;

MessageValues values_of(const ScreenState& state) {
    return {{"width", int64_t{state.width}},
            {"height", int64_t{state.height}},
            {"text_mode", state.text_mode},
            {"absolute_pointer", state.absolute_pointer}};
}

MessageValues values_of(ScreenText text) {
    return {{"text", std::move(text.text)},
            {"columns", int64_t{text.columns}},
            {"rows", int64_t{text.rows}},
            {"cursor_column", int64_t{text.cursor_column}},
            {"cursor_row", int64_t{text.cursor_row}}};
}

// A coordinate or size; what a screen cannot have is refused by the screen.
Result<uint32_t> number(const Message& request, std::string_view name) {
    const int64_t value = request.integer(name);
    if (value < 0 || value > std::numeric_limits<int32_t>::max()) {
        return fail(ErrorKind::invalid_input, "{} is no number of pixels.", value);
    }
    return static_cast<uint32_t>(value);
}

Result<MessageValues> resize(ScreenControl& screen, const Message& request) {
    const auto width = number(request, "width");
    const auto height = number(request, "height");
    if (!width || !height) {
        return tl::unexpected<Error>(width ? height.error() : width.error());
    }
    return screen.resize(*width, *height).map([] { return MessageValues{}; });
}

Result<MessageValues> shoot(ScreenControl& screen, Fd& fd_to_send) {
    return screen.shoot().map([&](ScreenShot shot) {
        fd_to_send = std::move(shot.pixels);
        return MessageValues{{"width", int64_t{shot.width}}, {"height", int64_t{shot.height}}};
    });
}

Result<uint64_t> press(ScreenControl& screen, const Message& request) {
    const int64_t hold = request.integer("hold_ms", k_default_hold_ms);
    if (hold < 1 || hold > k_longest_hold_ms) {
        return fail(ErrorKind::invalid_input, "Keys can be held for 1 to {} ms, not for {}.", k_longest_hold_ms, hold);
    }
    return screen.send_keys(request.text("keys"), static_cast<uint64_t>(hold));
}

Result<uint64_t> click(ScreenControl& screen, const Message& request) {
    const auto x = number(request, "x");
    const auto y = number(request, "y");
    if (!x || !y) {
        return tl::unexpected<Error>(x ? y.error() : x.error());
    }
    return screen.click(*x, *y, request.text("button", "left"));
}

}  // namespace

Result<MessageValues> ask_screen(ScreenControl* screen, const Message& request, Fd& fd_to_send) {
    if (screen == nullptr) {
        return fail(ErrorKind::not_found, "This machine has no screen, only serial consoles.");
    }
    switch (request.type) {
        case MessageType::screen_open:
            return screen->open_viewer().map([&](Fd socket) {
                fd_to_send = std::move(socket);
                return MessageValues{};
            });
        case MessageType::screen_info: return screen->state().map([](const ScreenState& state) { return values_of(state); });
        case MessageType::screen_shot: return shoot(*screen, fd_to_send);
        case MessageType::screen_text: return screen->text().map([](ScreenText text) { return values_of(std::move(text)); });
        case MessageType::screen_resize: return resize(*screen, request);
        default: return fail(ErrorKind::protocol, "This is no request about the screen.");
    }
}

Result<MessageValues> ask_input(ScreenControl* screen, const Message& request) {
    if (screen == nullptr) {
        return fail(ErrorKind::not_found, "This machine has no keyboard.");
    }
    const auto wait = [&]() -> Result<uint64_t> {
        switch (request.type) {
            case MessageType::input_keys: return press(*screen, request);
            case MessageType::input_type: return screen->type_text(request.text("text"));
            case MessageType::input_click: return click(*screen, request);
            default: return fail(ErrorKind::protocol, "This is no request about input.");
        }
    }();
    return wait.map([](uint64_t milliseconds) { return MessageValues{{"wait_ms", static_cast<int64_t>(milliseconds)}}; });
}

}  // namespace skep
