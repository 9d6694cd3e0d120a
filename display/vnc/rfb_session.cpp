// SPDX-License-Identifier: GPL-3.0-or-later
#include "display/vnc/rfb_session.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "display/input/scan_codes.hpp"
#include "display/vnc/rfb_gate.hpp"

extern "C" {
#include <rfb/rfbregion.h>
}

namespace skep {
namespace {

using std::chrono::milliseconds;

// While something moves, 60 pictures a second; a still screen is looked at ever less often, and a viewer that types
// or points brings the pace back, for its guest is about to answer.
constexpr milliseconds k_fastest{16};
constexpr milliseconds k_slowest{50};
// A handshake, or the rest of a message, takes no longer.
constexpr milliseconds k_patience{10'000};
constexpr milliseconds k_look_again{5};  // for the rest of a message: poll() cannot wait for more than some bytes
constexpr ScreenSize k_no_picture_size{640, 480};
constexpr int32_t k_not_moved = 0x7fff;  // what a viewer that sends ways adds to them

ScreenSize first_size(const Screen::Update& update) {
    return update.surface != nullptr ? update.surface->size() : k_no_picture_size;
}

RfbSession& session_of(rfbClientRec* client) { return *static_cast<RfbSession*>(client->screen->screenData); }

}  // namespace

RfbSession::RfbSession(Screen& screen, InputHub& input, Config config)
    : m_screen(screen),
      m_input(input),
      m_config(std::move(config)),
      m_socket(fcntl(m_config.socket.get(), F_DUPFD_CLOEXEC, 0)),
      m_view(screen),
      m_picture(ScreenSize{}),  // until it is known
      m_keyboard(input) {}

RfbSession::~RfbSession() {
    m_keyboard.release_all();
    if (m_pointer_mask != 0) {
        m_input.move_by(0, 0, 0);  // where it is
    }
    if (m_client != nullptr) {  // the screen would not: it passes over clients whose connection is closed
        const auto lock = lock_rfb_library();
        rfbClientConnectionGone(std::exchange(m_client, nullptr));
    }
    m_rfb_screen.reset();
    ::shutdown(m_socket.get(), SHUT_RDWR);
}

bool RfbSession::connect(Time now) {
    if (!m_socket) {
        return false;  // no descriptor was left for it
    }
    m_deadline = now + k_patience;
    const Screen::Update first = m_view.take();
    m_picture.resize(first_size(first));
    m_view.read([&](const Surface& surface) { (void)m_picture.copy(surface, first.damage); });
    const auto lock = lock_rfb_library();
    m_rfb_screen = make_rfb_screen(m_picture, m_config.name.c_str());
    if (!m_rfb_screen) {
        return false;
    }
    set_callbacks();
    m_client = make_rfb_client(*m_rfb_screen, m_config.socket.release());
    // A guest without a cursor of its own hides nothing: the viewer's stays as it is.
    if (m_client != nullptr && first.cursor && first.cursor->width != 0) {
        set_rfb_cursor(*m_rfb_screen, *first.cursor);
    }
    return m_client != nullptr;
}

void RfbSession::set_callbacks() {
    m_rfb_screen->screenData = this;
    m_rfb_screen->kbdAddEvent = [](rfbBool down, rfbKeySym keysym, rfbClientRec* client) {
        session_of(client).on_key(down != FALSE, keysym);
    };
    m_rfb_screen->ptrAddEvent = [](int mask, int x, int y, rfbClientRec* client) {
        session_of(client).on_pointer(static_cast<uint32_t>(mask), static_cast<uint32_t>(std::max(x, 0)),
                                     static_cast<uint32_t>(std::max(y, 0)));
    };
    if (!m_config.password.empty()) {
        m_passwords = {m_config.password.data(), nullptr};
        m_rfb_screen->authPasswdData = m_passwords.data();
        m_rfb_screen->passwordCheck = [](rfbClientRec* client, const char* answer, int length) {
            const rfbBool good = rfbCheckPasswordByList(client, answer, length);
            session_of(client).m_password_checked = good != FALSE;
            return good;
        };
    }
}

void RfbSession::close() {
    const auto lock = lock_rfb_library();
    rfbCloseClient(m_client);
}

void RfbSession::turn(Time now) {
    while (alive() && handle_next(now)) {
    }
    // The rest of a message that will never come.
    if (alive() && (now >= m_deadline || (m_partial && hung_up()))) {
        close();
    }
    if (alive() && m_acknowledge) {
        acknowledge_extended_keys();
    }
    if (alive() && wants_update() && now >= m_next_frame) {
        send_frame(now);
    }
}

RfbSession::Time RfbSession::wake_time(Time now) const {
    Time wake = wants_update() ? m_next_frame : Time::max();
    if (m_deadline != Time::max()) {
        wake = std::min(wake, m_partial ? now + k_look_again : m_deadline);
    }
    return wake;
}

short RfbSession::wake_events() const { return m_partial ? POLLRDHUP : POLLIN; }

bool RfbSession::hung_up() const {
    pollfd ready{m_socket.get(), POLLRDHUP, 0};
    return ::poll(&ready, 1, 0) > 0;
}

// --- what the viewer says ------------------------------------------------------------------------

bool RfbSession::handle_next(Time now) {
    int arrived = 0;
    if (ioctl(m_socket.get(), FIONREAD, &arrived) != 0 || arrived <= 0) {
        uint8_t byte = 0;
        const ssize_t got = recv(m_socket.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            close();
        }
        return false;
    }
    bool handled = false;
    if (m_client->state != rfbClientRec::RFB_NORMAL) {
        handled = handle_handshake(static_cast<size_t>(arrived));
    } else {
        handled = m_skip != 0 ? skip_text() : handle_message();
        if (handled) {
            m_deadline = Time::max();
        } else if (m_deadline == Time::max()) {
            m_deadline = now + k_patience;
        }
    }
    m_partial = !handled;
    return handled;
}

bool RfbSession::handle_handshake(size_t arrived) {
    size_t needed = 1;
    if (m_client->state == rfbClientRec::RFB_PROTOCOL_VERSION) {
        needed = sz_rfbProtocolVersionMsg;
    } else if (m_client->state == rfbClientRec::RFB_AUTHENTICATION) {
        needed = CHALLENGESIZE;
    }
    if (arrived < needed) {
        return false;
    }
    const auto lock = lock_rfb_library();
    rfbProcessClientMessage(m_client);
    // The library looks the chosen security type up in a list of the whole process, where another viewer's may be.
    const bool in = m_client->state == rfbClientRec::RFB_NORMAL || m_client->state == rfbClientRec::RFB_INITIALISATION;
    if (alive() && in && !m_config.password.empty() && !m_password_checked) {
        rfbCloseClient(m_client);
    }
    if (m_client->state == rfbClientRec::RFB_NORMAL) {
        m_deadline = Time::max();
    }
    return true;
}

bool RfbSession::handle_message() {
    std::array<uint8_t, k_longest_message> buffer;
    const ssize_t got = recv(m_socket.get(), buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT);
    if (got <= 0) {
        return false;
    }
    const auto arrived = std::span<const uint8_t>(buffer).first(static_cast<size_t>(got));
    const GatedMessage message = gate_message(arrived);
    switch (message.verdict) {
        case GatedMessage::Verdict::incomplete: return false;
        case GatedMessage::Verdict::refused: close(); return false;
        case GatedMessage::Verdict::library: give_library(arrived.first(message.length)); return true;
        case GatedMessage::Verdict::cut_text:
            take_bytes(message.length);
            m_skip = message.skip;
            return true;
        case GatedMessage::Verdict::desktop_size:
            take_bytes(message.length);
            change_size(parse_desktop_size(arrived));
            return true;
        case GatedMessage::Verdict::extended_key: break;
    }
    take_bytes(message.length);
    const ExtendedKey key = parse_extended_key(arrived);
    m_pace = k_fastest;
    if (const KeyCode code = key_of_qemu_code(key.code); code != k_no_key) {
        m_keyboard.key(code, key.down);
    } else {
        m_keyboard.symbol(key.keysym, key.down);
    }
    return true;
}

void RfbSession::give_library(std::span<const uint8_t> message) {
    const auto lock = lock_rfb_library();
    rfbProcessClientMessage(m_client);
    if (message[0] == k_message_set_encodings && alive()) {
        const OfferedEncodings offered = parse_encodings(message);
        m_client->preferredEncoding = offered.preferred;
        m_client->useCopyRect = FALSE;
        // The library's list of messages lacks the extended keys: libvncclient would forget them.
        m_client->enableSupportedMessages = m_client->enableSupportedEncodings = FALSE;
        m_client->enableServerIdentity = FALSE;
        m_acknowledge = offered.extended_key && !m_extended_keys;
        m_extended_keys = offered.extended_key;
        m_pointer_motion = offered.pointer_motion;
    }
}

void RfbSession::take_bytes(size_t count) {
    std::array<uint8_t, 512> bytes;
    if (recv(m_socket.get(), bytes.data(), std::min(count, bytes.size()), MSG_DONTWAIT) != static_cast<ssize_t>(count)) {
        close();
    }
}

bool RfbSession::skip_text() {
    std::array<uint8_t, 4096> bytes;
    const ssize_t got = recv(m_socket.get(), bytes.data(), std::min(m_skip, bytes.size()), MSG_DONTWAIT);
    m_skip -= static_cast<size_t>(std::max<ssize_t>(got, 0));
    return got > 0;
}

void RfbSession::on_key(bool down, uint32_t keysym) {
    m_pace = k_fastest;
    m_keyboard.symbol(keysym, down);
}

void RfbSession::on_pointer(uint32_t mask, uint32_t x, uint32_t y) {
    constexpr std::array<uint8_t, 8> k_buttons{k_button_left, k_button_middle, k_button_right, 0, 0, 0, 0, k_button_side};
    struct Notch {
        uint32_t bit;
        int32_t vertical;
        int32_t horizontal;
    };
    constexpr std::array k_notches{Notch{8, -1, 0}, Notch{16, 1, 0}, Notch{32, 0, -1}, Notch{64, 0, 1}};

    m_pace = k_fastest;
    uint8_t buttons = 0;
    for (size_t bit = 0; bit < k_buttons.size(); ++bit) {
        buttons |= (mask >> bit & 1) != 0 ? k_buttons[bit] : 0;
    }
    if (m_told_absolute == false) {
        m_input.move_by(static_cast<int32_t>(x) - k_not_moved, static_cast<int32_t>(y) - k_not_moved, buttons);
    } else {
        const ScreenSize size = m_picture.size();
        m_input.move_to(x, y, size.width, size.height, buttons);
        rfbDefaultPtrAddEvent(static_cast<int>(mask), static_cast<int>(x), static_cast<int>(y), m_client);
    }
    for (const Notch& notch : k_notches) {
        if ((mask & ~m_pointer_mask & notch.bit) != 0) {
            m_input.wheel(notch.vertical, notch.horizontal);
        }
    }
    m_pointer_mask = mask;
}

// SetDesktopSize (rfbproto 7.4.10). Not by the library, which loses some memory with every one. A success is told with the
// picture of the new size, a failure at once.
void RfbSession::change_size(const WantedSize& message) {
    if (message.screens == 0) {
        return;
    }
    const ScreenSize wanted{message.width, message.height};
    int result = rfbExtDesktopSize_InvalidScreenLayout;
    if (wanted.acceptable()) {
        m_pace = k_fastest;
        result = m_screen.suggest_size(wanted) ? rfbExtDesktopSize_Success : rfbExtDesktopSize_ResizeProhibited;
    }
    m_client->requestedDesktopSizeChange = rfbExtDesktopSize_ClientRequestedChange;
    m_client->lastDesktopSizeChangeError = result;
    if (result != rfbExtDesktopSize_Success) {
        m_client->newFBSizePending = TRUE;
    }
}

// --- what the viewer is shown --------------------------------------------------------------------

bool RfbSession::wants_update() const {
    return m_client->state == rfbClientRec::RFB_NORMAL && sraRgnEmpty(m_client->requestedRegion) == FALSE;
}

bool RfbSession::bring_up_to_date() {
    const Screen::Update update = m_view.take();
    const bool resized =
        update.replaced && update.surface != nullptr && update.surface->size() != m_picture.size();
    if (resized) {
        m_picture.resize(update.surface->size());
    }
    std::vector<ScreenRect> changed;
    m_view.read([&](const Surface& surface) { changed = m_picture.copy(surface, update.damage); });
    const auto lock = lock_rfb_library();
    if (resized) {
        renew_rfb_framebuffer(*m_rfb_screen, *m_client, m_picture);
    }
    for (const ScreenRect& rect : changed) {
        rfbMarkRectAsModified(m_rfb_screen.get(), static_cast<int>(rect.left), static_cast<int>(rect.top),
                              static_cast<int>(rect.right), static_cast<int>(rect.bottom));
    }
    if (update.cursor) {
        set_rfb_cursor(*m_rfb_screen, *update.cursor);
    }
    return !changed.empty() || resized || update.cursor.has_value();
}

void RfbSession::send_frame(Time now) {
    m_pace = bring_up_to_date() ? k_fastest : std::min(std::max(m_pace, k_fastest) * 5 / 4, k_slowest);
    m_next_frame = now + m_pace;
    tell_pointer_kind();
    rfbUpdateClient(m_client);  // waits for a slow reader; nothing is locked
}

// The library cannot add a rectangle of a foreign encoding to its updates: updates that hold nothing else tell the
// viewer that its extended keys are understood, and whether the guest's pointer has a place.
void RfbSession::acknowledge_extended_keys() {
    m_acknowledge = false;
    send_mark('\xfe', 0);  // -258
}

void RfbSession::tell_pointer_kind() {
    const bool absolute = m_input.pointer_is_absolute();
    if (m_pointer_motion && m_told_absolute != absolute) {
        m_told_absolute = absolute;
        send_mark('\xff', absolute ? 1 : 0);  // -257
    }
}

// A rectangle without size of one of QEMU's encodings, -512 to -257, of which the last byte is given.
void RfbSession::send_mark(char encoding, char x) {
    const std::array<char, 16> update{0, 0, 0, 1, 0, x, 0, 0, 0, 0, 0, 0, '\xff', '\xff', '\xfe', encoding};
    rfbWriteExact(m_client, update.data(), static_cast<int>(update.size()));
}

}  // namespace skep
