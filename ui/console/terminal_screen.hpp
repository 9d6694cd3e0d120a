// SPDX-License-Identifier: GPL-3.0-or-later
// The terminal's model: libvterm's screen plus scrollback, without any painting. libvterm 0.1 is the
// oldest one supported; everything that differs in 0.3 stays inside terminal_screen.cpp.
//
// vterm_set_size of 0.1 leaves the cursor outside the screen when rows go away, and then crashes. It is never called:
// a new size starts a new VTerm that reads the last output again, which also wraps long lines anew.
#pragma once

#include <QByteArray>
#include <QString>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "ui/console/terminal_cell.hpp"
#include "vmm/control/firmware_wrap.hpp"

struct VTerm;
struct VTermScreen;

namespace skep::ui {

enum class CursorShape { block, underline, bar };
enum class MouseMode { none, click, drag, move };
enum class TerminalKey {
    enter,
    tab,
    back_tab,
    backspace,
    escape,
    up,
    down,
    left,
    right,
    insert,
    del,
    home,
    end,
    page_up,
    page_down,
    function
};
enum class Answers { send, swallow };

struct KeyModifiers {
    bool shift = false;
    bool alt = false;
    bool control = false;
};

// One thread only (the window's). Every method may be called at any time, with any bytes.
class TerminalScreen {
  public:
    static constexpr int k_default_columns = 80;
    static constexpr int k_default_rows = 24;
    static constexpr int k_min_columns = 4;
    static constexpr int k_min_rows = 2;
    static constexpr int k_max_cells_per_side = 1000;
    static constexpr int k_default_scrollback = 10000;
    static constexpr size_t k_kept_bytes = 1 << 20;  // of output, for a new size; as much as the worker keeps

    struct Events {
        std::function<void(int first_row, int last_row)> damaged;  // screen rows, inclusive
        std::function<void()> scrolled;                            // the scrollback grew or shrank
        std::function<void()> cursor_changed;
        std::function<void()> bell;
        std::function<void(const QString&)> title_changed;
        std::function<void(const QByteArray&)> output;  // keys, pastes and answers for the guest
    };

    explicit TerminalScreen(int scrollback_limit = k_default_scrollback);
    ~TerminalScreen();
    TerminalScreen(const TerminalScreen&) = delete;
    TerminalScreen& operator=(const TerminalScreen&) = delete;

    void set_events(Events events) { m_events = std::move(events); }

    // Bytes from the guest. Answers to its questions (DA, CPR) are swallowed while old output is replayed.
    void feed(std::string_view bytes, Answers answers = Answers::send);
    // Forgets everything, as a terminal just switched on.
    void reset();
    void clear_scrollback();
    // Sizes outside [k_min_*, k_max_cells_per_side] are clamped. Renumbers the lines. Takes up to some tens of
    // milliseconds when a lot of output is kept.
    void resize(int columns, int rows);

    // Input for the guest; comes out of Events::output.
    void send_key(TerminalKey key, KeyModifiers modifiers, int function_number = 0);
    void send_character(char32_t character, KeyModifiers modifiers);
    void send_mouse_move(int row, int column, KeyModifiers modifiers);
    void send_mouse_button(int button, bool pressed, KeyModifiers modifiers);
    // The sequences that the guest wants around a paste; empty when it did not ask for them.
    [[nodiscard]] QByteArray paste_start();
    [[nodiscard]] QByteArray paste_end();

    [[nodiscard]] int columns() const { return m_columns; }
    [[nodiscard]] int rows() const { return m_rows; }
    [[nodiscard]] int64_t first_line() const;  // the oldest line still kept
    [[nodiscard]] int64_t screen_top() const { return m_screen_top; }
    [[nodiscard]] int64_t end_line() const { return m_screen_top + m_rows; }
    // The cells of a line; empty for a line that is no longer, or not yet, there.
    [[nodiscard]] TerminalLine line(int64_t number) const;
    [[nodiscard]] QString line_text(int64_t number) const;
    // The visible screen, one line each, trailing blanks cut.
    [[nodiscard]] QString screen_text() const;
    [[nodiscard]] QString all_text() const;

    [[nodiscard]] TerminalPosition cursor() const;
    [[nodiscard]] bool cursor_visible() const { return m_cursor_visible; }
    [[nodiscard]] bool cursor_blinks() const { return m_cursor_blinks; }
    [[nodiscard]] CursorShape cursor_shape() const { return m_cursor_shape; }
    [[nodiscard]] MouseMode mouse_mode() const { return m_mouse_mode; }
    [[nodiscard]] bool alternate_screen() const { return m_alternate; }
    [[nodiscard]] bool screen_reversed() const { return m_reversed; }

  private:
    struct Hooks;  // libvterm's callbacks
    friend struct Hooks;

    void make_term();
    void write(std::string_view bytes);
    void remember(std::string_view bytes);
    QByteArray captured(const std::function<void()>& action);

    std::unique_ptr<VTerm, void (*)(VTerm*)> m_term;
    VTermScreen* m_screen = nullptr;
    FirmwareWrap m_wrap;
    Events m_events;
    std::deque<TerminalLine> m_scrollback;
    int m_scrollback_limit;
    int64_t m_screen_top = 0;  // number of the screen's first line
    int m_columns = k_default_columns;
    int m_rows = k_default_rows;
    bool m_cursor_visible = true;
    bool m_cursor_blinks = true;
    bool m_alternate = false;
    bool m_reversed = false;
    CursorShape m_cursor_shape = CursorShape::block;
    MouseMode m_mouse_mode = MouseMode::none;
    bool m_feeding = false;
    bool m_replaying = false;
    std::string m_kept;       // the last output
    size_t m_cleared_at = 0;  // offset in m_kept at which the user cleared the scrollback
    Answers m_answers = Answers::send;
    QByteArray m_output;
};

// The line's text; a wide character's second cell adds nothing, trailing blanks are cut.
[[nodiscard]] QString text_of(const TerminalLine& line);
// The same for columns [from, to).
[[nodiscard]] QString text_of(const TerminalLine& line, int from, int to);

}  // namespace skep::ui
