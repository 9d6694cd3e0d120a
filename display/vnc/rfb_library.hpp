// SPDX-License-Identifier: GPL-3.0-or-later
// Inside display/vnc: libvncserver, set up so that little of it is in reach.
#pragma once

#include <rfb/rfb.h>

#include <memory>
#include <mutex>
#include <string>

#include "display/surface/screen.hpp"
#include "display/vnc/viewer_picture.hpp"

namespace skep {

// libvncserver is made for one thread: its lists of clients and of security types are the process's. Every viewer has
// a thread and a screen of its own, and whatever may touch those lists happens under this lock. What may wait for a
// viewer (sending an update) touches only the viewer's own structures and happens without it.
[[nodiscard]] std::unique_lock<std::mutex> lock_rfb_library();

struct RfbScreenDeleter {
    void operator()(rfbScreenInfo* screen) const;  // takes the lock
};
using RfbScreen = std::unique_ptr<rfbScreenInfo, RfbScreenDeleter>;

// A screen that listens nowhere and offers nothing but pictures and input. `name` stays the caller's. Null: no memory.
// Lock held, as for all below.
[[nodiscard]] RfbScreen make_rfb_screen(ViewerPicture& picture, const char* name);

// The library is given a connection without being shown the viewer's first bytes, by which it would look for web
// sockets and TLS. The descriptor is the library's afterwards. Null: the library refused, `socket` is closed.
[[nodiscard]] rfbClientRec* make_rfb_client(rfbScreenInfo& screen, int socket);

// After the picture's size has changed.
void renew_rfb_framebuffer(rfbScreenInfo& screen, rfbClientRec& client, ViewerPicture& picture);

void set_rfb_cursor(rfbScreenInfo& screen, const CursorImage& image);

}  // namespace skep
