// SPDX-License-Identifier: GPL-3.0-or-later
// Screen: where a display device and its viewers meet. Viewers pull: nothing is drawn, converted or compared while
// nobody looks, and a viewer that is slow skips frames instead of queueing them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "display/surface/surface.hpp"

namespace skep {

// A pointer image that the guest's hardware cursor shows, drawn by the viewer.
struct CursorImage {
    uint32_t width = 0;   // 0: the guest hides its cursor
    uint32_t height = 0;  // at most 256 each
    uint32_t hot_x = 0;
    uint32_t hot_y = 0;
    std::vector<uint32_t> argb;  // 0xAARRGGBB, not premultiplied, rows without gaps
    bool operator==(const CursorImage&) const = default;
};

// The characters of a VGA text mode.
struct TextCells {
    uint32_t columns = 0;
    uint32_t rows = 0;
    std::vector<uint8_t> characters;  // code page 437, rows without gaps
    std::vector<uint8_t> attributes;  // foreground in bits 0-3, background in bits 4-7
    uint32_t cursor_column = 0;
    uint32_t cursor_row = 0;
    [[nodiscard]] std::string utf8() const;  // lines ended by '\n', trailing blanks left out
};

class Screen;

// What draws: implemented by a display device. All calls come with the screen's lock held, on any viewer's thread;
// the source takes its own lock inside and never calls back into Screen except through the canvas.
class ScreenSource {
  public:
    // What a source may do while it refreshes.
    class Canvas {
      public:
        virtual ~Canvas() = default;
        // The surface of this size: the present one, or a new one when the size has changed (then all of it is to be
        // drawn). Null when the host has no memory for it: show nothing.
        virtual Surface* surface(ScreenSize size) = 0;
        virtual void damage(const ScreenRect& rect) = 0;
        virtual void set_cursor(CursorImage cursor) = 0;
        // True when the whole screen must be drawn whatever the source thinks has changed.
        [[nodiscard]] virtual bool whole() const = 0;
    };

    virtual ~ScreenSource() = default;
    // Brings the surface up to date with what the guest shows now and says what has changed since the last call.
    virtual void refresh(Canvas& canvas) = 0;
    // The cells, while the guest shows a text mode.
    virtual std::optional<TextCells> text() { return std::nullopt; }
    // A viewer would like this size (its window was resized). Devices that cannot tell the guest return false.
    virtual bool suggest_size(ScreenSize) { return false; }
};

class Screen {
  public:
    // The device behind the screen; null takes it away, the last picture stays. The source must outlive its
    // registration.
    void set_source(ScreenSource* source);

    [[nodiscard]] std::optional<TextCells> text();
    [[nodiscard]] bool suggest_size(ScreenSize size);

    // Any thread.
    struct Update {
        std::shared_ptr<Surface> surface;   // null before the first picture
        bool replaced = false;              // another surface than this view got last time: all of it is new
        Damage damage;                      // empty: nothing has changed
        std::optional<CursorImage> cursor;  // set when it has changed
    };

    // One viewer. Destroy it before the screen.
    class View {
      public:
        explicit View(Screen& screen);
        ~View();
        View(const View&) = delete;
        View& operator=(const View&) = delete;
        // Refreshes the screen and tells what has changed since the last call. Any one thread at a time.
        [[nodiscard]] Update take();
        // `read` sees pixels that no refresh changes meanwhile: the frame that the last take() of any view left.
        void read(const std::function<void(const Surface&)>& read);

      private:
        friend class Screen;
        Screen& m_screen;
        Damage m_damage;
        std::shared_ptr<Surface> m_seen;
        bool m_cursor_changed = true;
    };

  private:
    class Drawing;
    void refresh();  // m_mutex held

    std::mutex m_mutex;
    ScreenSource* m_source = nullptr;
    bool m_whole = true;
    std::shared_ptr<Surface> m_surface;
    CursorImage m_cursor;
    std::vector<View*> m_views;
};

}  // namespace skep
