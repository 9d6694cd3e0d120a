// SPDX-License-Identifier: GPL-3.0-or-later
// cut_files FOLDER DEVICE STEPS SEED: programs that save files as careful programs do, and say what is safe.
//
// Four programs at once take so many steps each, with files of their own: written and fsync'ed, replaced by rename, appended to, moved to another
// folder, deleted, and beside them files that nobody syncs. Before each step and after it a line goes to DEVICE, a sector for
// each program, past the page cache: who records both disks knows what was promised when (tests/power_cuts).
//   step              before                            after
//   written anew      write FILE VERSION SIZE           kept FILE VERSION SIZE
//   replaced, moved   replace FILE VERSION SIZE         kept FILE VERSION SIZE   (until then the old content or the new)
//   appended to       append FILE VERSION SIZE          kept FILE VERSION SIZE   (until then at least the old content)
//   deleted           delete FILE 0 0                   gone FILE 0 0
// File FILE is dNN/fFILE in any of the folders; byte n of it is byte n % 8 of word(FILE, VERSION, n / 8), little-endian.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROGRAMS = 4, FILES = 24, FOLDERS = 6, NOISE = 12, LARGEST = 96 << 10, SECTOR = 512 };

struct file {
    unsigned folder, version, size;
    int there;
};

static uint64_t state;
static int device;
static unsigned program;
static char *sector;
static struct file files[FILES];

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static unsigned any(unsigned limit) {
    state += 0x9e3779b97f4a7c15u;
    return (unsigned)(mix(state) % limit);
}

static uint64_t word(unsigned file, unsigned version, unsigned index) {
    return mix(((uint64_t)file << 52) ^ ((uint64_t)version << 24) ^ index);
}

static void give_up(const char *what) {
    perror(what);
    printf("cut_files: failed\n");
    exit(1);
}

static void say(const char *what, unsigned index, unsigned version, unsigned size) {
    memset(sector, 0, SECTOR);
    snprintf(sector, SECTOR, "%s %u %u %u\n", what, program * FILES + index, version, size);
    if (pwrite(device, sector, SECTOR, (off_t)program * SECTOR) != SECTOR) {
        give_up("saying what is safe");
    }
}

static const char *path_of(unsigned folder, unsigned index) {
    static char path[64];
    snprintf(path, sizeof path, "d%02u/f%u", folder, program * FILES + index);
    return path;
}

static void sync_folder(unsigned folder) {
    char path[16];
    snprintf(path, sizeof path, "d%02u", folder);
    const int fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0 || fsync(fd) != 0) {
        give_up("syncing a folder");
    }
    close(fd);
}

static void fill(int fd, unsigned index, unsigned version, unsigned from, unsigned to) {
    static uint64_t data[LARGEST / 8];
    for (unsigned i = from / 8; i < (to + 7) / 8; ++i) {
        data[i] = word(program * FILES + index, version, i);
    }
    while (from < to) {
        const unsigned piece = any(3) == 0 && to - from > 5000 ? 5000 : to - from;
        if (pwrite(fd, (char *)data + from, piece, from) != (ssize_t)piece) {
            give_up("writing");
        }
        from += piece;
    }
}

static int open_new(const char *path, int flags) {
    const int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);
    if (fd < 0) {
        give_up("opening");
    }
    return fd;
}

static void close_synced(int fd) {
    if ((any(2) == 0 ? fsync(fd) : fdatasync(fd)) != 0) {
        give_up("syncing");
    }
    close(fd);
}

static unsigned a_size(void) { return any(4) == 0 ? any(LARGEST - 8) : any(9000); }

static void write_anew(unsigned i) {
    struct file *f = &files[i];
    f->folder = f->there ? f->folder : any(FOLDERS);
    f->size = a_size();
    ++f->version;
    say("write", i, f->version, f->size);
    const int fd = open_new(path_of(f->folder, i), O_TRUNC);
    fill(fd, i, f->version, 0, f->size);
    close_synced(fd);
    sync_folder(f->folder);
    f->there = 1;
    say("kept", i, f->version, f->size);
}

static void replace(unsigned i) {
    struct file *f = &files[i];
    char temporary[64];
    f->size = a_size();
    ++f->version;
    say("replace", i, f->version, f->size);
    snprintf(temporary, sizeof temporary, "d%02u/t%u", f->folder, program * FILES + i);
    const int fd = open_new(temporary, O_TRUNC);
    fill(fd, i, f->version, 0, f->size);
    close_synced(fd);
    if (rename(temporary, path_of(f->folder, i)) != 0) {
        give_up("replacing");
    }
    sync_folder(f->folder);
    say("kept", i, f->version, f->size);
}

static void move(unsigned i) {
    struct file *f = &files[i];
    const unsigned from = f->folder;
    char old[64];
    say("replace", i, f->version, f->size);
    snprintf(old, sizeof old, "%s", path_of(from, i));
    f->folder = (from + 1) % FOLDERS;
    if (rename(old, path_of(f->folder, i)) != 0) {
        give_up("moving");
    }
    sync_folder(f->folder);
    sync_folder(from);
    say("kept", i, f->version, f->size);
}

static void append(unsigned i) {
    struct file *f = &files[i];
    const unsigned more = any(20000);
    if (f->size + more > LARGEST - 8) {
        return;
    }
    say("append", i, f->version, f->size + more);
    const int fd = open_new(path_of(f->folder, i), 0);
    fill(fd, i, f->version, f->size, f->size + more);
    close_synced(fd);
    f->size += more;
    say("kept", i, f->version, f->size);
}

static void delete(unsigned i) {
    say("delete", i, 0, 0);
    if (unlink(path_of(files[i].folder, i)) != 0) {
        give_up("deleting");
    }
    sync_folder(files[i].folder);
    files[i].there = 0;
    say("gone", i, 0, 0);
}

// What other programs do meanwhile: nobody minds what becomes of it.
static void noise(void) {
    char path[64];
    snprintf(path, sizeof path, "d%02u/n%u-%u", any(FOLDERS), program, any(NOISE));
    if (any(3) == 0) {
        unlink(path);
        return;
    }
    const int fd = open_new(path, any(2) == 0 ? O_TRUNC : 0);
    fill(fd, 0, any(1000), any(5000) & ~7u, 5000 + any(40000));
    close(fd);
}

static void step(void) {
    const unsigned i = any(FILES);
    noise();
    if (!files[i].there) {
        write_anew(i);
        return;
    }
    switch (any(6)) {
        case 0: write_anew(i); break;
        case 1: delete(i); break;
        case 2: move(i); break;
        case 3: append(i); break;
        default: replace(i); break;
    }
}

static int run(unsigned number, uint64_t seed, int steps) {
    program = number;
    state = seed * 1000 + number;
    while (steps-- > 0) {
        step();
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5 || chdir(argv[1]) != 0 || posix_memalign((void **)&sector, 4096, 4096) != 0) {
        give_up("cut_files FOLDER DEVICE STEPS SEED");
    }
    device = open(argv[2], O_WRONLY | O_DIRECT);
    if (device < 0) {
        give_up(argv[2]);
    }
    for (unsigned i = 0; i < FOLDERS; ++i) {
        char path[16];
        snprintf(path, sizeof path, "d%02u", i);
        if (mkdir(path, 0755) != 0) {
            give_up("making a folder");
        }
    }
    sync();
    program = PROGRAMS;
    say("ready", 0, 0, 0);
    for (unsigned i = 0; i < PROGRAMS; ++i) {
        if (fork() == 0) {
            return run(i, strtoull(argv[4], NULL, 0), atoi(argv[3]));
        }
    }
    int failed = 0;
    for (int status; wait(&status) > 0;) {
        failed |= status;
    }
    printf("cut_files: %s\n", failed == 0 ? "done" : "failed");
    return failed != 0;
}
