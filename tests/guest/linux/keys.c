// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's program for the keyboard tests, without libraries: prints what every input device says, as the kernel's event
// devices have it, until a line arrives on its standard input.
//   keys        prints first: keys: EVENT-DEVICE is NAME; then for each key: key CODE VALUE; at the end: keys: down CODES
#include <dirent.h>
#include <fcntl.h>
#include <linux/input.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { k_most_devices = 16 };

static int open_devices(struct pollfd* devices) {
    int count = 1;
    DIR* folder = opendir("/dev/input");
    for (struct dirent* entry = folder != NULL ? readdir(folder) : NULL; entry != NULL; entry = readdir(folder)) {
        char path[300];
        char name[100] = "";
        if (strncmp(entry->d_name, "event", 5) != 0 || count == k_most_devices) {
            continue;
        }
        snprintf(path, sizeof path, "/dev/input/%s", entry->d_name);
        devices[count].fd = open(path, O_RDONLY | O_NONBLOCK);
        devices[count].events = POLLIN;
        if (devices[count].fd >= 0) {
            ioctl(devices[count].fd, EVIOCGNAME(sizeof name - 1), name);
            // Else the kernel acts on it as well: Ctrl+Alt+Del, the consoles, SysRq.
            ioctl(devices[count].fd, EVIOCGRAB, 1);
            printf("keys: %s is %s\n", entry->d_name, name);
            ++count;
        }
    }
    return count;
}

static void tell(int device) {
    struct input_event event;
    while (read(device, &event, sizeof event) == sizeof event) {
        if (event.type == EV_KEY) {
            printf("key %u %d\n", event.code, event.value);
        }
    }
}

int main(void) {
    struct pollfd devices[k_most_devices];
    memset(devices, 0, sizeof devices);
    devices[0].events = POLLIN;
    const int count = open_devices(devices);
    printf("keys: listening\n");
    fflush(stdout);
    while (poll(devices, count, -1) > 0 && devices[0].revents == 0) {
        for (int index = 1; index < count; ++index) {
            tell(devices[index].fd);
        }
        fflush(stdout);
    }
    printf("keys: down");
    for (int index = 1; index < count; ++index) {
        unsigned char down[KEY_CNT / 8 + 1] = {0};
        ioctl(devices[index].fd, EVIOCGKEY(sizeof down), down);
        for (unsigned code = 0; code < KEY_CNT; ++code) {
            if ((down[code / 8] >> code % 8 & 1) != 0) {
                printf(" %u", code);
            }
        }
    }
    printf(".\n");
    return 0;
}
