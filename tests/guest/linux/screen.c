// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's program for the screen tests, without libraries: draws by the kernel's mode setting interface on the first
// graphics card, until a line arrives on its standard input or so many frames are shown (0: no limit).
//   screen frames N    whole pictures, each of its own colour, in two buffers that change places
//   screen boxes N     one small box after the other into the buffer that is shown
// Prints first: screen: WIDTH HEIGHT; at the end: screen: FRAMES in SECONDS
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <drm.h>
#include <drm_mode.h>

enum { k_most = 32, k_box = 61 };

struct buffer {
    uint32_t id, handle, pitch;
    uint8_t* pixels;
};

static int g_card;
static struct drm_mode_modeinfo g_mode;
static uint32_t g_crtc, g_connector;

static void fail(const char* what) {
    printf("screen: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void call(unsigned long request, void* argument, const char* what) {
    if (ioctl(g_card, request, argument) != 0) {
        fail(what);
    }
}

// The first connected monitor with its preferred mode.
static void find_monitor(void) {
    uint32_t connectors[k_most], crtcs[k_most];
    struct drm_mode_modeinfo modes[128];
    struct drm_mode_card_res resources = {.connector_id_ptr = (uintptr_t)connectors, .crtc_id_ptr = (uintptr_t)crtcs,
                                          .count_connectors = k_most, .count_crtcs = k_most};
    g_card = open("/dev/dri/card0", O_RDWR);
    if (g_card < 0) {
        fail("/dev/dri/card0");
    }
    call(DRM_IOCTL_MODE_GETRESOURCES, &resources, "resources");
    for (uint32_t index = 0; index < resources.count_connectors; ++index) {
        struct drm_mode_get_connector connector = {.connector_id = connectors[index]};
        call(DRM_IOCTL_MODE_GETCONNECTOR, &connector, "connector");
        if (connector.connection != 1 || connector.count_modes == 0 || connector.count_modes > 128) {
            continue;
        }
        connector = (struct drm_mode_get_connector){.connector_id = connectors[index], .modes_ptr = (uintptr_t)modes,
                                                    .count_modes = connector.count_modes};
        call(DRM_IOCTL_MODE_GETCONNECTOR, &connector, "modes");
        g_connector = connectors[index];
        g_crtc = crtcs[0];
        g_mode = modes[0];
        return;
    }
    errno = ENODEV;
    fail("monitor");
}

static struct buffer make_buffer(void) {
    struct drm_mode_create_dumb made = {.width = g_mode.hdisplay, .height = g_mode.vdisplay, .bpp = 32};
    call(DRM_IOCTL_MODE_CREATE_DUMB, &made, "buffer");
    struct drm_mode_fb_cmd frame = {.width = made.width, .height = made.height, .pitch = made.pitch, .bpp = 32, .depth = 24,
                                    .handle = made.handle};
    call(DRM_IOCTL_MODE_ADDFB, &frame, "frame buffer");
    struct drm_mode_map_dumb map = {.handle = made.handle};
    call(DRM_IOCTL_MODE_MAP_DUMB, &map, "map");
    struct buffer buffer = {.id = frame.fb_id, .handle = made.handle, .pitch = made.pitch};
    buffer.pixels = mmap(NULL, made.size, PROT_READ | PROT_WRITE, MAP_SHARED, g_card, (off_t)map.offset);
    if (buffer.pixels == MAP_FAILED) {
        fail("mmap");
    }
    memset(buffer.pixels, 0, made.size);
    return buffer;
}

static void show_mode(const struct buffer* buffer) {
    struct drm_mode_crtc crtc = {.set_connectors_ptr = (uintptr_t)&g_connector, .count_connectors = 1, .crtc_id = g_crtc,
                                 .fb_id = buffer->id, .mode_valid = 1, .mode = g_mode};
    call(DRM_IOCTL_MODE_SETCRTC, &crtc, "mode");
}

// Waits until the other buffer is shown.
static void flip(const struct buffer* buffer) {
    struct drm_mode_crtc_page_flip flip = {.crtc_id = g_crtc, .fb_id = buffer->id, .flags = DRM_MODE_PAGE_FLIP_EVENT};
    char event[1024];
    call(DRM_IOCTL_MODE_PAGE_FLIP, &flip, "flip");
    if (read(g_card, event, sizeof event) <= 0) {
        fail("flip's end");
    }
}

// The colour of frame n: its number in the red and, the other way round, in the blue of every pixel.
static uint32_t colour(unsigned long n) { return (uint32_t)((n & 0xff) << 16 | (~n & 0xff)); }

static void draw_frame(const struct buffer* buffer, unsigned long n) {
    static uint32_t row[8192];
    for (unsigned x = 0; x < g_mode.hdisplay; ++x) {
        row[x] = colour(n) | (x & 0xff) << 8;
    }
    for (unsigned y = 0; y < g_mode.vdisplay; ++y) {
        memcpy(buffer->pixels + (size_t)y * buffer->pitch, row, g_mode.hdisplay * 4U);
    }
}

static void draw_box(const struct buffer* buffer, unsigned long n) {
    const unsigned left = n * 37 % (g_mode.hdisplay - k_box), top = n * 53 % (g_mode.vdisplay - k_box);
    for (unsigned y = top; y < top + k_box; ++y) {
        uint32_t* const row = (uint32_t*)(buffer->pixels + (size_t)y * buffer->pitch);
        for (unsigned x = left; x < left + k_box; ++x) {
            row[x] = colour(n) | ((x + y) & 0xff) << 8;
        }
    }
    struct drm_clip_rect clip = {(unsigned short)left, (unsigned short)top, (unsigned short)(left + k_box),
                                 (unsigned short)(top + k_box)};
    struct drm_mode_fb_dirty_cmd dirty = {.fb_id = buffer->id, .num_clips = 1, .clips_ptr = (uintptr_t)&clip};
    if (ioctl(g_card, DRM_IOCTL_MODE_DIRTYFB, &dirty) != 0 && errno != ENOSYS) {  // a card without: it is shown as it is
        fail("dirty");
    }
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int count, char** arguments) {
    if (count != 3 || (strcmp(arguments[1], "frames") != 0 && strcmp(arguments[1], "boxes") != 0)) {
        printf("screen: frames N | boxes N\n");
        return 1;
    }
    const int whole = strcmp(arguments[1], "frames") == 0;
    const unsigned long most = strtoul(arguments[2], NULL, 10);
    find_monitor();
    const struct buffer buffers[2] = {make_buffer(), make_buffer()};
    show_mode(&buffers[0]);
    printf("screen: %u %u\n", g_mode.hdisplay, g_mode.vdisplay);
    fflush(stdout);
    const double begin = seconds();
    unsigned long n = 0;
    struct pollfd input = {.fd = 0, .events = POLLIN};
    while ((most == 0 || n < most) && poll(&input, 1, 0) == 0) {
        ++n;
        if (whole) {
            draw_frame(&buffers[n & 1], n);
            flip(&buffers[n & 1]);
        } else {
            draw_box(&buffers[0], n);
            usleep(2000);
        }
    }
    printf("screen: %lu in %.3f\n", n, seconds() - begin);
    return 0;
}
