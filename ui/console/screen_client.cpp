// SPDX-License-Identifier: GPL-3.0-or-later
// ScreenClient: one thread reads and writes the socket; the window's thread leaves it commands and takes frames.
#include "ui/console/screen_client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <rfb/rfbclient.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <QtEndian>
#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include "display/input/scan_codes.hpp"

namespace skep::ui {

namespace {

constexpr int k_wheel_most = 10;  // notches of one event
// In a relative PointerEvent of QEMU's extension this stands for "not moved".
constexpr int k_motion_zero = 0x7fff;

// RFC 6143, section 7.5.5: left, middle, right, wheel up, down; then, as everybody has it, wheel left, right, side.
uint8_t rfb_buttons(uint8_t buttons) {
    uint8_t mask = 0;
    mask |= (buttons & k_button_left) != 0 ? 1 : 0;
    mask |= (buttons & k_button_middle) != 0 ? 2 : 0;
    mask |= (buttons & k_button_right) != 0 ? 4 : 0;
    mask |= (buttons & k_button_side) != 0 ? 128 : 0;
    return mask;
}

// A write to a socket that the worker has closed must not end the window.
void block_broken_pipe_signal() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

struct FreeClient {
    void operator()(rfbClient* client) const {
        client->sock = RFB_INVALID_SOCKET;  // ScreenClient closes it
        rfbClientCleanup(client);
    }
};

std::unique_ptr<rfbClient, FreeClient> make_client(int socket) {
    rfbEnableClientLogging = FALSE;
    std::unique_ptr<rfbClient, FreeClient> client(rfbGetClient(8, 3, 4));
    if (client) {
        client->sock = socket;
        client->format.bigEndian = Q_BYTE_ORDER == Q_BIG_ENDIAN;
        client->format.redShift = 16;
        client->format.greenShift = 8;
        client->format.blueShift = 0;
        const uint32_t schemes[] = {rfbNoAuth};
        SetClientAuthSchemes(client.get(), schemes, 1);
    }
    return client;
}

// SetPixelFormat and SetEncodings. libvncclient's own would offer extensions that nobody here understands.
bool send_format_and_encodings(rfbClient* client) {
    rfbSetPixelFormatMsg format = {};
    format.type = rfbSetPixelFormat;
    format.format = client->format;
    format.format.redMax = qToBigEndian<uint16_t>(format.format.redMax);
    format.format.greenMax = qToBigEndian<uint16_t>(format.format.greenMax);
    format.format.blueMax = qToBigEndian<uint16_t>(format.format.blueMax);
    rfbSetEncodingsMsg encodings = {};
    encodings.type = rfbSetEncodings;
    encodings.nEncodings = qToBigEndian(static_cast<uint16_t>(screen_encodings().size()));
    std::vector<uint32_t> numbers;
    for (const int32_t encoding : screen_encodings()) {
        numbers.push_back(qToBigEndian(static_cast<uint32_t>(encoding)));
    }
    return WriteToRFBServer(client, reinterpret_cast<const char*>(&format), sz_rfbSetPixelFormatMsg) != FALSE &&
           WriteToRFBServer(client, reinterpret_cast<const char*>(&encodings), sz_rfbSetEncodingsMsg) != FALSE &&
           WriteToRFBServer(client, reinterpret_cast<const char*>(numbers.data()),
                            static_cast<unsigned>(numbers.size() * sizeof numbers[0])) != FALSE;
}

// SetDesktopSize of the community's protocol: one screen that fills the picture.
bool send_desktop_size(rfbClient* client, QSize size, ScreenDecoder::Layout layout) {
    std::array<uchar, 24> message = {rfbSetDesktopSize};
    const auto width = static_cast<uint16_t>(size.width());
    const auto height = static_cast<uint16_t>(size.height());
    qToBigEndian(width, &message[2]);
    qToBigEndian(height, &message[4]);
    message[6] = 1;
    qToBigEndian(layout.id, &message[8]);
    qToBigEndian(width, &message[16]);
    qToBigEndian(height, &message[18]);
    qToBigEndian(layout.flags, &message[20]);
    return WriteToRFBServer(client, reinterpret_cast<const char*>(message.data()), message.size()) != FALSE;
}

tl::unexpected<Error> ended() {
    return fail(ErrorKind::io, "The connection to the machine's screen has ended.");
}

}  // namespace

ScreenClient::ScreenClient(Fd socket, QObject* parent)
    : QObject(parent), m_socket(std::move(socket)), m_wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    // The thread may wait in a read or write: shutdown() of the socket wakes it.
    fcntl(m_socket.get(), F_SETFL, fcntl(m_socket.get(), F_GETFL) & ~O_NONBLOCK);
    m_thread = std::thread([this] { run(); });
}

ScreenClient::~ScreenClient() {
    post([](Client*) { return false; });
    shutdown(m_socket.get(), SHUT_RDWR);
    m_thread.join();
}

// --- on the window's thread

void ScreenClient::post(Command command) {
    const std::lock_guard lock(m_mutex);
    m_commands.push_back(std::move(command));
    const uint64_t one = 1;
    (void)!write(m_wake.get(), &one, sizeof one);
}

void ScreenClient::request() {
    if (m_requested || !m_connected) {
        return;
    }
    m_requested = true;
    const bool whole = std::exchange(m_nothing_seen, false);
    post([size = m_size, whole](Client* client) {
        return SendFramebufferUpdateRequest(client, 0, 0, size.width(), size.height(), whole ? FALSE : TRUE) != FALSE;
    });
}

void ScreenClient::read(const std::function<void(const QImage&)>& read) const {
    const std::lock_guard lock(m_mutex);
    read(m_front);
}

QRegion ScreenClient::take_damage() {
    const std::lock_guard lock(m_mutex);
    return std::exchange(m_damage, {});
}

void ScreenClient::send_key(KeyCode code, bool down) {
    const uint32_t scancode = qemu_code_of_key(code);
    if (m_connected && m_takes_scancodes && scancode != 0) {
        post([=](Client* client) { return SendExtendedKeyEvent(client, 0, scancode, down ? TRUE : FALSE) != FALSE; });
    }
}

void ScreenClient::pointer_message(int x, int y, uint8_t buttons) {
    if (m_connected) {
        post([=](Client* client) { return SendPointerEvent(client, x, y, buttons) != FALSE; });
    }
}

void ScreenClient::send_pointer(QPoint at, uint8_t buttons) {
    pointer_message(at.x(), at.y(), rfb_buttons(buttons));
}

void ScreenClient::send_motion(QPoint by, uint8_t buttons) {
    const auto coordinate = [](int moved) { return std::clamp(k_motion_zero + moved, 0, 0xffff); };
    pointer_message(coordinate(by.x()), coordinate(by.y()), rfb_buttons(buttons));
}

void ScreenClient::send_wheel(QPoint at, Qt::Orientation orientation, int notches, uint8_t buttons) {
    const int first = orientation == Qt::Vertical ? 3 : 5;  // wheel up, or left
    const auto notch = static_cast<uint8_t>(1 << (notches < 0 ? first : first + 1));
    for (int i = std::min(std::abs(notches), k_wheel_most); i > 0; --i) {
        pointer_message(at.x(), at.y(), rfb_buttons(buttons) | notch);
        pointer_message(at.x(), at.y(), rfb_buttons(buttons));
    }
}

void ScreenClient::wish_size(QSize size) {
    if (m_connected && m_takes_size) {
        post([size, layout = m_layout](Client* client) { return send_desktop_size(client, size, layout); });
    }
}

// --- on the thread

void ScreenClient::tell(std::function<void()> on_window_thread) {
    QMetaObject::invokeMethod(this, std::move(on_window_thread), Qt::QueuedConnection);
}

void ScreenClient::run() {
    block_broken_pipe_signal();
    const auto client = make_client(m_socket.get());
    const Status end = client ? serve(client.get()) : fail(ErrorKind::no_space, "There is no memory for a screen.");
    tell([this, reason = QString::fromStdString(end ? std::string() : end.error().message)] {
        m_connected = false;
        emit lost(reason);
    });
}

Status ScreenClient::serve(Client* client) {
    if (InitialiseRFBConnection(client) == FALSE) {
        return fail(ErrorKind::protocol, "The machine's screen did not answer as a screen does.");
    }
    // Lets SendExtendedKeyEvent() work; it is used only once the server has said that it takes scan codes.
    client->supportedMessages.client2server[rfbQemuEvent / 8] |= 1U << (rfbQemuEvent % 8);
    ScreenDecoder decoder([client](void* to, size_t count) {
        return ReadFromRFBServer(client, static_cast<char*>(to), static_cast<unsigned>(count)) != FALSE;
    });
    if (auto good = decoder.set_size(client->si.framebufferWidth, client->si.framebufferHeight); !good) {
        return good;
    }
    if (!send_format_and_encodings(client)) {
        return ended();
    }
    tell([this, size = decoder.picture().size()] {
        m_connected = true;
        m_size = size;
        emit opened(size);
    });
    return converse(client, decoder);
}

Status ScreenClient::converse(Client* client, ScreenDecoder& decoder) {
    std::array<pollfd, 2> waiting = {pollfd{m_socket.get(), POLLIN, 0}, pollfd{m_wake.get(), POLLIN, 0}};
    while (true) {
        const bool buffered = client->buffered > 0;
        if (poll(waiting.data(), waiting.size(), buffered ? 0 : -1) < 0 && errno != EINTR) {
            return fail_errno(errno, "wait for the machine's screen");
        }
        if (waiting[1].revents != 0 && !send_posted(client)) {
            return ended();
        }
        if (!buffered && waiting[0].revents == 0) {
            continue;
        }
        const auto message = decoder.read_message();
        if (!message) {
            return tl::unexpected(message.error());
        }
        if (*message == ScreenDecoder::Message::frame) {
            take_frame(decoder);
        }
    }
}

bool ScreenClient::send_posted(Client* client) {
    uint64_t count = 0;
    (void)!::read(m_wake.get(), &count, sizeof count);
    std::vector<Command> commands;
    {
        const std::lock_guard lock(m_mutex);
        commands.swap(m_commands);
    }
    return std::all_of(commands.begin(), commands.end(), [client](const Command& command) { return command(client); });
}

// The frame is copied, so that the window always finds a finished one, whatever is being drawn here.
void ScreenClient::take_frame(ScreenDecoder& decoder) {
    const QRegion damage = decoder.take_damage();
    const QImage& picture = decoder.picture();
    {
        const std::lock_guard lock(m_mutex);
        if (m_front.size() != picture.size()) {
            m_front = picture.copy();
            m_damage = picture.rect();
        } else {
            for (const QRect& rect : damage) {
                const size_t bytes = size_t(rect.width()) * sizeof(uint32_t);
                for (int y = rect.top(); y <= rect.bottom(); ++y) {
                    std::memcpy(m_front.scanLine(y) + rect.left() * 4, picture.constScanLine(y) + rect.left() * 4,
                                bytes);
                }
            }
            m_damage += damage;
        }
    }
    tell([this, size = picture.size(), cursor = decoder.take_cursor(), absolute = decoder.take_pointer_is_absolute(),
          scancodes = decoder.takes_scancodes(), wishes = decoder.takes_size(), layout = decoder.layout()] {
        m_requested = false;
        m_size = size;
        m_takes_scancodes = scancodes;
        m_takes_size = wishes;
        m_layout = layout;
        if (cursor) {
            emit cursor_changed(*cursor);
        }
        if (absolute) {
            emit pointer_kind_changed(*absolute);
        }
        emit frame_finished();
    });
}

}  // namespace skep::ui
