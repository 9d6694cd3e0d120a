// SPDX-License-Identifier: GPL-3.0-or-later
// skep-view: a machine's screen in an SDL2 window. `skepctl view` starts it with an open connection; a program of its
// own, so that skepctl need not load what windows are made of.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "display/window/sdl_window.hpp"

int main(int argc, char** argv) {
    using namespace skep;
    if (argc != 3) {
        std::fprintf(stderr, "skep-view: this program is started by `skepctl view`.\n");
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);  // the machine may end while we write
    const int socket = std::atoi(argv[1]);
    auto client = RfbClient::connect(Fd(socket));
    const Status shown = client ? show_in_window(**client, argv[2]) : tl::unexpected<Error>(client.error());
    if (!shown) {
        std::fprintf(stderr, "skep-view: %s\n", shown.error().message.c_str());
        return 1;
    }
    return 0;
}
