// SPDX-License-Identifier: GPL-3.0-or-later
// TerminalScreen over libvterm (0.1.4 or newer).
#include "ui/console/terminal_screen.hpp"

#include <vterm.h>

#include <algorithm>

namespace skep::ui {

namespace {

TerminalColor color_of(const VTermColor& color, bool foreground) {
    if (foreground ? VTERM_COLOR_IS_DEFAULT_FG(&color) : VTERM_COLOR_IS_DEFAULT_BG(&color)) {
        return {};
    }
    if (VTERM_COLOR_IS_INDEXED(&color)) {
        return {TerminalColor::Kind::indexed, color.indexed.idx, 0, 0};
    }
    return {TerminalColor::Kind::rgb, color.rgb.red, color.rgb.green, color.rgb.blue};
}

// What libvterm may store as a character: its "second half of a wide one" mark is no character.
char32_t character_of(uint32_t value) {
    return value <= 0x10ffff && (value < 0xd800 || value > 0xdfff) ? value : 0;
}

TerminalCell cell_of(const VTermScreenCell& from) {
    TerminalCell cell;
    for (size_t i = 0; i < cell.chars.size(); ++i) {
        cell.chars[i] = character_of(from.chars[i]);
        if (cell.chars[i] == 0) {
            break;
        }
    }
    cell.width = from.chars[0] == UINT32_MAX ? 0 : static_cast<uint8_t>(std::clamp<int>(from.width, 1, 2));
    cell.style.foreground = color_of(from.fg, true);
    cell.style.background = color_of(from.bg, false);
    cell.style.underline = static_cast<Underline>(from.attrs.underline);
    cell.style.bold = from.attrs.bold != 0;
    cell.style.italic = from.attrs.italic != 0;
    cell.style.blink = from.attrs.blink != 0;
    cell.style.reverse = from.attrs.reverse != 0;
    cell.style.strike = from.attrs.strike != 0;
    return cell;
}

bool worth_keeping(const TerminalCell& cell) {
    return !cell.blank() || cell.width == 0 || cell.style != TerminalStyle{};
}

void trim(TerminalLine& line) {
    while (!line.empty() && !worth_keeping(line.back())) {
        line.pop_back();
    }
    line.shrink_to_fit();
}

}  // namespace

struct TerminalScreen::Hooks {
    static TerminalScreen& self(void* user) { return *static_cast<TerminalScreen*>(user); }

    static int damage(VTermRect rect, void* user) {
        auto& events = self(user).m_events;
        if (events.damaged) {
            events.damaged(rect.start_row, rect.end_row - 1);
        }
        return 1;
    }
    static int move_cursor(VTermPos, VTermPos, int, void* user) {
        if (self(user).m_events.cursor_changed) {
            self(user).m_events.cursor_changed();
        }
        return 1;
    }
    static int set_property(VTermProp property, VTermValue* value, void* user) {
        auto& screen = self(user);
        switch (property) {
            case VTERM_PROP_CURSORVISIBLE:
                screen.m_cursor_visible = value->boolean != 0;
                break;
            case VTERM_PROP_CURSORBLINK:
                screen.m_cursor_blinks = value->boolean != 0;
                break;
            case VTERM_PROP_ALTSCREEN:
                screen.m_alternate = value->boolean != 0;
                break;
            case VTERM_PROP_REVERSE:
                screen.m_reversed = value->boolean != 0;
                break;
            case VTERM_PROP_MOUSE:
                screen.m_mouse_mode = static_cast<MouseMode>(std::clamp(value->number, 0, 3));
                break;
            case VTERM_PROP_CURSORSHAPE:
                screen.m_cursor_shape = static_cast<CursorShape>(std::clamp(value->number, 1, 3) - 1);
                break;
            case VTERM_PROP_TITLE:
                set_title(screen, *value);
                return 1;
            default:
                return 0;
        }
        if (screen.m_events.cursor_changed) {
            screen.m_events.cursor_changed();
        }
        return 1;
    }
    static void set_title(TerminalScreen& screen, const VTermValue& value) {
#if VTERM_VERSION_MINOR >= 2
        const QString title = QString::fromUtf8(value.string.str, static_cast<qsizetype>(value.string.len));
#else
        const QString title = QString::fromUtf8(value.string != nullptr ? value.string : "");
#endif
        if (screen.m_events.title_changed && !screen.m_replaying) {
            screen.m_events.title_changed(title.left(200));
        }
    }
    static int bell(void* user) {
        if (self(user).m_events.bell && !self(user).m_replaying) {
            self(user).m_events.bell();
        }
        return 1;
    }
    static int push_line(int columns, const VTermScreenCell* cells, void* user) {
        auto& screen = self(user);
        TerminalLine line;
        line.reserve(static_cast<size_t>(columns));
        for (int column = 0; column < columns; ++column) {
            line.push_back(cell_of(cells[column]));
        }
        trim(line);
        screen.m_scrollback.push_back(std::move(line));
        if (std::cmp_greater(screen.m_scrollback.size(), screen.m_scrollback_limit)) {
            screen.m_scrollback.pop_front();
        }
        ++screen.m_screen_top;
        if (screen.m_events.scrolled) {
            screen.m_events.scrolled();
        }
        return 1;
    }
    static void output(const char* bytes, size_t length, void* user) {
        auto& screen = self(user);
        if (!screen.m_feeding || screen.m_answers == Answers::send) {
            screen.m_output.append(bytes, static_cast<qsizetype>(length));
        }
    }
};

TerminalScreen::TerminalScreen(int scrollback_limit)
    : m_term(nullptr, &vterm_free), m_scrollback_limit(scrollback_limit) {
    make_term();
}

TerminalScreen::~TerminalScreen() = default;

void TerminalScreen::make_term() {
    // libvterm keeps the pointer, so the table lives as long as the program.
    static const VTermScreenCallbacks callbacks = [] {
        VTermScreenCallbacks table{};
        table.damage = &Hooks::damage;
        table.movecursor = &Hooks::move_cursor;
        table.settermprop = &Hooks::set_property;
        table.bell = &Hooks::bell;
        table.sb_pushline = &Hooks::push_line;
        return table;
    }();
    m_scrollback.clear();
    m_screen_top = 0;
    m_alternate = false;
    m_reversed = false;
    m_mouse_mode = MouseMode::none;
    m_wrap = {};
    m_term.reset(vterm_new(m_rows, m_columns));
    vterm_set_utf8(m_term.get(), 1);
    vterm_output_set_callback(m_term.get(), &Hooks::output, this);
    m_screen = vterm_obtain_screen(m_term.get());
    vterm_screen_set_callbacks(m_screen, &callbacks, this);
    vterm_screen_set_damage_merge(m_screen, VTERM_DAMAGE_ROW);
    vterm_screen_enable_altscreen(m_screen, 1);
    vterm_screen_reset(m_screen, 1);
}

void TerminalScreen::write(std::string_view bytes) {
    const std::string passed = m_wrap.pass(bytes);
    vterm_input_write(m_term.get(), passed.data(), passed.size());
    vterm_screen_flush_damage(m_screen);
}

void TerminalScreen::feed(std::string_view bytes, Answers answers) {
    m_feeding = true;
    m_answers = answers;
    write(bytes);
    m_feeding = false;
    remember(bytes);
    const QByteArray output = std::exchange(m_output, {});
    if (!output.isEmpty() && m_events.output) {
        m_events.output(output);
    }
}

void TerminalScreen::remember(std::string_view bytes) {
    m_kept += bytes;
    if (m_kept.size() <= 2 * k_kept_bytes) {
        return;
    }
    // Cut after a line end: hardly ever inside an escape sequence.
    const size_t line_end = m_kept.find('\n', m_kept.size() - k_kept_bytes);
    const size_t cut = line_end == std::string::npos ? m_kept.size() - k_kept_bytes : line_end + 1;
    m_kept.erase(0, cut);
    m_cleared_at -= std::min(m_cleared_at, cut);
}

void TerminalScreen::reset() {
    m_kept.clear();
    m_cleared_at = 0;
    make_term();
    if (m_events.scrolled) {
        m_events.scrolled();
    }
}

void TerminalScreen::clear_scrollback() {
    m_scrollback.clear();
    m_cleared_at = m_kept.size();
    if (m_events.scrolled) {
        m_events.scrolled();
    }
}

void TerminalScreen::resize(int columns, int rows) {
    columns = std::clamp(columns, k_min_columns, k_max_cells_per_side);
    rows = std::clamp(rows, k_min_rows, k_max_cells_per_side);
    if (columns == m_columns && rows == m_rows) {
        return;
    }
    m_columns = columns;
    m_rows = rows;
    m_feeding = true;
    m_answers = Answers::swallow;
    m_replaying = true;
    make_term();
    const std::string_view kept(m_kept);
    write(kept.substr(0, m_cleared_at));
    m_scrollback.clear();
    write(kept.substr(m_cleared_at));
    m_replaying = false;
    m_feeding = false;
    m_output.clear();
    if (m_events.scrolled) {
        m_events.scrolled();
    }
}

int64_t TerminalScreen::first_line() const {
    return m_screen_top - static_cast<int64_t>(m_scrollback.size());
}

TerminalLine TerminalScreen::line(int64_t number) const {
    if (number < first_line() || number >= end_line()) {
        return {};
    }
    if (number < m_screen_top) {
        return m_scrollback[static_cast<size_t>(number - first_line())];
    }
    TerminalLine line;
    line.reserve(static_cast<size_t>(m_columns));
    VTermScreenCell cell{};
    VTermPos position{static_cast<int>(number - m_screen_top), 0};
    for (; position.col < m_columns; ++position.col) {
        if (vterm_screen_get_cell(m_screen, position, &cell) == 0) {
            break;
        }
        line.push_back(cell_of(cell));
    }
    return line;
}

QString TerminalScreen::line_text(int64_t number) const {
    return text_of(line(number));
}

QString TerminalScreen::screen_text() const {
    QString text;
    for (int64_t number = m_screen_top; number < end_line(); ++number) {
        text += line_text(number) + u'\n';
    }
    return text;
}

QString TerminalScreen::all_text() const {
    QString text;
    for (int64_t number = first_line(); number < end_line(); ++number) {
        text += line_text(number) + u'\n';
    }
    while (text.endsWith(QStringLiteral("\n\n"))) {
        text.chop(1);
    }
    return text;
}

TerminalPosition TerminalScreen::cursor() const {
    VTermPos position{};
    vterm_state_get_cursorpos(vterm_obtain_state(m_term.get()), &position);
    return {m_screen_top + position.row, position.col};
}

QString text_of(const TerminalLine& line) {
    return text_of(line, 0, static_cast<int>(line.size()));
}

QString text_of(const TerminalLine& line, int from, int to) {
    QString text;
    to = std::min(to, static_cast<int>(line.size()));
    for (int column = std::max(from, 0); column < to; ++column) {
        const TerminalCell& cell = line[static_cast<size_t>(column)];
        if (cell.width == 0) {
            continue;
        }
        if (cell.chars[0] == 0) {
            text += u' ';
        }
        for (size_t i = 0; i < cell.chars.size() && cell.chars[i] != 0; ++i) {
            text += QString::fromUcs4(&cell.chars[i], 1);
        }
    }
    while (text.endsWith(u' ')) {
        text.chop(1);
    }
    return text;
}

}  // namespace skep::ui
