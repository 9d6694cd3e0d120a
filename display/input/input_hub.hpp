// SPDX-License-Identifier: GPL-3.0-or-later
// InputHub: where viewers' keys and pointers meet the guest's keyboards and pointing devices. A key is named by its
// Linux input code everywhere (KEY_* of <linux/input-event-codes.h>): it names the place of a key, not what is printed
// on it.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <vector>

namespace skep {

using KeyCode = uint16_t;  // KEY_*, below k_key_codes
inline constexpr KeyCode k_key_codes = 256;

enum PointerButton : uint8_t {
    k_button_left = 1,
    k_button_right = 2,
    k_button_middle = 4,
    k_button_side = 8,
    k_button_extra = 16
};

// A guest's keyboard. Calls come on any thread, one at a time.
class KeyboardSink {
  public:
    virtual ~KeyboardSink() = default;
    virtual void key(KeyCode code, bool down) = 0;
    // True while the guest's driver listens to this keyboard.
    [[nodiscard]] virtual bool listening() const { return true; }
};

// A guest's mouse or tablet.
class PointerSink {
  public:
    static constexpr uint32_t k_absolute_most = 0x7fff;  // the right and bottom edge

    virtual ~PointerSink() = default;
    [[nodiscard]] virtual bool absolute() const = 0;
    [[nodiscard]] virtual bool listening() const { return true; }
    // x, y: 0 to k_absolute_most over the screen. Only for absolute devices.
    virtual void move_to(uint32_t x, uint32_t y, uint8_t buttons) = 0;
    // Right and down are positive. Only for relative devices.
    virtual void move_by(int32_t x, int32_t y, uint8_t buttons) = 0;
    // Notches; down (towards the user) and right are positive.
    virtual void wheel(int32_t vertical, int32_t horizontal, uint8_t buttons) = 0;
};

// Sends every event to the device added last of those that listen (a USB or virtio keyboard before the PS/2 one, a
// tablet before a mouse). Remembers what is down, and where, so that nothing stays down in the guest when a viewer or
// a device goes. Any thread. Devices take their own lock inside the calls, so they call the hub without it.
class InputHub {
  public:
    void add(KeyboardSink& keyboard);
    void add(PointerSink& pointer);
    void remove(KeyboardSink& keyboard);  // releases what is down on it first
    void remove(PointerSink& pointer);

    // A repeated press is passed on (typematic); a release of a key that is up is not.
    void key(KeyCode code, bool down);
    void release_all_keys();

    // True when the pointer has a place (tablet): viewers need no grab.
    [[nodiscard]] bool pointer_is_absolute() const;
    // x, y in guest pixels on a screen of width x height. Relative devices get the difference to the last place.
    void move_to(uint32_t x, uint32_t y, uint32_t width, uint32_t height, uint8_t buttons);
    void move_by(int32_t x, int32_t y, uint8_t buttons);
    void wheel(int32_t vertical, int32_t horizontal);

  private:
    [[nodiscard]] KeyboardSink* keyboard() const;  // m_mutex held, as for all below
    [[nodiscard]] PointerSink* pointer() const;
    [[nodiscard]] PointerSink* pointer_for(uint8_t buttons);  // and notes the buttons
    void place(PointerSink& pointer, uint8_t buttons) const;  // at the last place

    mutable std::mutex m_mutex;
    std::vector<KeyboardSink*> m_keyboards;
    std::vector<PointerSink*> m_pointers;
    std::array<KeyboardSink*, k_key_codes> m_down_on{};  // null: the key is up
    PointerSink* m_pressed_on = nullptr;                 // where buttons are down
    uint8_t m_buttons = 0;
    // The last place: guest pixels for mice, whose differences count, and what tablets are told.
    bool m_placed = false;
    int32_t m_x = 0;
    int32_t m_y = 0;
    uint32_t m_absolute_x = 0;
    uint32_t m_absolute_y = 0;
};

}  // namespace skep
