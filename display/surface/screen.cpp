// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/surface/screen.hpp"

#include <algorithm>
#include <utility>

namespace skep {

// The canvas of one refresh.
class Screen::Drawing final : public ScreenSource::Canvas {
  public:
    explicit Drawing(Screen& screen) : m_screen(screen) {}

    Surface* surface(ScreenSize size) override {
        if (!size.acceptable()) {
            return nullptr;
        }
        if (m_screen.m_surface == nullptr || m_screen.m_surface->size() != size) {
            auto made = Surface::create(size);
            m_screen.m_surface = made ? *made : nullptr;
            m_screen.m_whole = true;
        }
        return m_screen.m_surface.get();
    }
    void damage(const ScreenRect& rect) override {
        if (m_screen.m_surface == nullptr) {
            return;
        }
        const ScreenRect inside = rect.within(m_screen.m_surface->size());
        for (View* const view : m_screen.m_views) {
            view->m_damage.add(inside);
        }
    }
    void set_cursor(CursorImage cursor) override {
        if (cursor == m_screen.m_cursor) {
            return;
        }
        m_screen.m_cursor = std::move(cursor);
        for (View* const view : m_screen.m_views) {
            view->m_cursor_changed = true;
        }
    }
    [[nodiscard]] bool whole() const override { return m_screen.m_whole; }

  private:
    Screen& m_screen;
};

void Screen::set_source(ScreenSource* source) {
    const std::lock_guard lock(m_mutex);
    m_source = source;
    m_whole = true;
}

std::optional<TextCells> Screen::text() {
    const std::lock_guard lock(m_mutex);
    return m_source != nullptr ? m_source->text() : std::nullopt;
}

bool Screen::suggest_size(ScreenSize size) {
    const std::lock_guard lock(m_mutex);
    return m_source != nullptr && size.acceptable() && m_source->suggest_size(size);
}

void Screen::refresh() {
    if (m_source == nullptr) {
        return;
    }
    Drawing drawing(*this);
    m_source->refresh(drawing);
    m_whole = false;
}

Screen::View::View(Screen& screen) : m_screen(screen) {
    const std::lock_guard lock(screen.m_mutex);
    screen.m_views.push_back(this);
}

Screen::View::~View() {
    const std::lock_guard lock(m_screen.m_mutex);
    std::erase(m_screen.m_views, this);
}

Screen::Update Screen::View::take() {
    const std::lock_guard lock(m_screen.m_mutex);
    m_screen.refresh();
    Update update;
    update.surface = m_screen.m_surface;
    update.replaced = update.surface != m_seen;
    update.damage = std::exchange(m_damage, {});
    if (update.replaced) {
        m_seen = update.surface;
        update.damage.clear();
        if (update.surface != nullptr) {
            update.damage.add({0, 0, update.surface->size().width, update.surface->size().height});
        }
    }
    if (std::exchange(m_cursor_changed, false)) {
        update.cursor = m_screen.m_cursor;
    }
    return update;
}

void Screen::View::read(const std::function<void(const Surface&)>& read) {
    const std::lock_guard lock(m_screen.m_mutex);
    if (m_screen.m_surface != nullptr) {
        read(*m_screen.m_surface);
    }
}

}  // namespace skep
