// SPDX-License-Identifier: GPL-3.0-or-later
// What a network does, between two ends of this program.
//   net serve               on the host: prints its port; serves until it is killed
//   net HOST PORT SECONDS   in the guest, after "\n" for each kind on the standard input:
//     tcp-out, tcp-in       bytes of one connection
//     udp-out-64, udp-out-1400, udp-in-64, udp-in-1400   datagrams that arrived at the other end
//     downloads             bytes of 64 files that come at the same time, each with the right sum
// Prints "net: begin KIND" before each, "net: KIND COUNT" after it, "net: done" at the end.
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, FILES = 64, FILE_BYTES = 1 << 20, BURST = 32, LARGEST = 1400 };

// The first message of a connection to the server, in the order of one kind of machine: both ends are the same program.
struct question {
    char what;  // 'i': I take, 'o': I give, 'f': file `number`, 'n': how many datagrams came, 'd': send datagrams to where the last came from
    uint32_t number;
    uint32_t bytes;
    double seconds;
};

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void give_all(int fd, const void *data, size_t size) {
    for (const char *at = data; size != 0;) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        at += sent;
        size -= (size_t)sent;
    }
}

static int take_all(int fd, void *data, size_t size) {
    for (char *at = data; size != 0;) {
        ssize_t got = recv(fd, at, size, 0);
        if (got <= 0) {
            return 0;
        }
        at += got;
        size -= (size_t)got;
    }
    return 1;
}

// File `number`: words of a generator (xorshift64, Marsaglia 2003) with that seed.
static uint64_t next_word(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static void make_file(uint32_t number, uint64_t *words) {
    uint64_t state = 0x9e3779b97f4a7c15u * (number + 1);
    for (size_t index = 0; index < FILE_BYTES / sizeof *words; ++index) {
        words[index] = next_word(&state);
    }
}

// --- the host's end -----------------------------------------------------------------------------
static int datagrams;
static struct sockaddr_in last_from;
static volatile uint64_t arrived;

static void *count_datagrams(void *unused) {
    static char data[BURST][2048];
    struct iovec parts[BURST];
    struct mmsghdr messages[BURST] = {0};
    for (int index = 0; index < BURST; ++index) {
        parts[index] = (struct iovec){data[index], sizeof data[index]};
        messages[index].msg_hdr.msg_iov = &parts[index];
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    messages[0].msg_hdr.msg_name = &last_from;
    for (;;) {
        messages[0].msg_hdr.msg_namelen = sizeof last_from;
        int got = recvmmsg(datagrams, messages, BURST, MSG_WAITFORONE, NULL);
        arrived += got > 0 ? (uint64_t)got : 0;
    }
    return unused;
}

static void send_burst(int fd, const struct sockaddr_in *to, size_t bytes) {
    static char data[LARGEST];
    struct iovec part = {data, bytes};
    struct mmsghdr messages[BURST] = {0};
    for (int index = 0; index < BURST; ++index) {
        messages[index].msg_hdr.msg_iov = &part;
        messages[index].msg_hdr.msg_iovlen = 1;
        messages[index].msg_hdr.msg_name = (void *)to;
        messages[index].msg_hdr.msg_namelen = to ? sizeof *to : 0;
    }
    sendmmsg(fd, messages, BURST, 0);
}

static void *answer(void *argument) {
    const int fd = (int)(intptr_t)argument;
    char *data = calloc(1, CHUNK);
    uint64_t *file = malloc(FILE_BYTES);
    struct question question;
    if (take_all(fd, &question, sizeof question)) {
        const double end = seconds() + question.seconds;
        switch (question.what) {
            case 'i':
                while (seconds() < end) {
                    give_all(fd, data, CHUNK);
                }
                break;
            case 'o': {
                uint64_t count = 0;
                for (ssize_t got; (got = recv(fd, data, CHUNK, 0)) > 0; count += (uint64_t)got) {
                }
                give_all(fd, &count, sizeof count);
                break;
            }
            case 'f':
                make_file(question.number, file);
                give_all(fd, file, FILE_BYTES);
                break;
            case 'n': {
                uint64_t count = arrived;
                give_all(fd, &count, sizeof count);
                break;
            }
            case 'd': {
                const struct sockaddr_in to = last_from;
                while (seconds() < end) {  // so many that there are always some more
                    send_burst(datagrams, &to, question.bytes);
                    usleep(100);
                }
                break;
            }
        }
    }
    close(fd);
    free(file);
    free(data);
    return NULL;
}

static void serve(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&here, size) != 0 || listen(listener, 2 * FILES) != 0) {
        die("listen");
    }
    getsockname(listener, (struct sockaddr *)&here, &size);
    datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    const int room = 4 << 20;
    setsockopt(datagrams, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(datagrams, (struct sockaddr *)&here, size) != 0) {
        die("bind");
    }
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    pthread_t thread;
    pthread_create(&thread, NULL, count_datagrams, NULL);
    for (;;) {
        const int fd = accept(listener, NULL, NULL);
        if (fd >= 0 && pthread_create(&thread, NULL, answer, (void *)(intptr_t)fd) == 0) {
            pthread_detach(thread);
        }
    }
}

// --- the guest's end ----------------------------------------------------------------------------
static struct sockaddr_in server;
static double length;

static int ask(struct question question) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0) {
        die("connect");
    }
    give_all(fd, &question, sizeof question);
    return fd;
}

static uint64_t take_number(int fd) {
    uint64_t count = 0;
    take_all(fd, &count, sizeof count);
    close(fd);
    return count;
}

static uint64_t ask_number(struct question question) { return take_number(ask(question)); }

static uint64_t tcp_out(void) {
    static char data[CHUNK];
    const int fd = ask((struct question){.what = 'o'});
    for (const double end = seconds() + length; seconds() < end;) {
        give_all(fd, data, sizeof data);
    }
    shutdown(fd, SHUT_WR);
    return take_number(fd);
}

static uint64_t tcp_in(void) {
    static char data[CHUNK];
    const int fd = ask((struct question){.what = 'i', .seconds = length});
    uint64_t count = 0;
    for (ssize_t got; (got = recv(fd, data, sizeof data, 0)) > 0; count += (uint64_t)got) {
    }
    close(fd);
    return count;
}

static int connect_datagrams(void) {
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(fd, (struct sockaddr *)&server, sizeof server) != 0) {
        die("connect");
    }
    return fd;
}

static uint64_t udp_out(size_t bytes) {
    const int fd = connect_datagrams();
    const uint64_t before = ask_number((struct question){.what = 'n'});
    for (const double end = seconds() + length; seconds() < end;) {
        send_burst(fd, NULL, bytes);
    }
    usleep(200000);
    close(fd);
    return ask_number((struct question){.what = 'n'}) - before;
}

static uint64_t udp_in(size_t bytes) {
    static char data[BURST][2048];
    struct iovec parts[BURST];
    struct mmsghdr messages[BURST] = {0};
    for (int index = 0; index < BURST; ++index) {
        parts[index] = (struct iovec){data[index], sizeof data[index]};
        messages[index].msg_hdr.msg_iov = &parts[index];
        messages[index].msg_hdr.msg_iovlen = 1;
    }
    const int fd = connect_datagrams();
    const struct timeval patience = {0, 300000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    send(fd, "here", 4, 0);  // for the way back
    usleep(100000);
    close(ask((struct question){.what = 'd', .bytes = (uint32_t)bytes, .seconds = length}));
    uint64_t count = 0;
    for (const double end = seconds() + length + 2; seconds() < end;) {
        const int got = recvmmsg(fd, messages, BURST, MSG_WAITFORONE, NULL);
        if (got <= 0) {
            break;
        }
        count += (uint64_t)got;
    }
    close(fd);
    return count;
}

static void *download(void *number) {
    struct question question = {.what = 'f', .number = (uint32_t)(uintptr_t)number};
    uint64_t *got = malloc(FILE_BYTES);
    const int fd = ask(question);
    uint64_t state = 0x9e3779b97f4a7c15u * (question.number + 1);
    int good = take_all(fd, got, FILE_BYTES);
    for (size_t index = 0; good && index < FILE_BYTES / sizeof *got; ++index) {
        good = got[index] == next_word(&state);
    }
    close(fd);
    free(got);
    return good ? number : (void *)(uintptr_t)-1;
}

static uint64_t downloads(void) {
    pthread_t threads[FILES];
    uint64_t count = 0;
    for (uintptr_t index = 0; index < FILES; ++index) {
        pthread_create(&threads[index], NULL, download, (void *)index);
    }
    for (uintptr_t index = 0; index < FILES; ++index) {
        void *result = NULL;
        pthread_join(threads[index], &result);
        count += result == (void *)index ? FILE_BYTES : 0;
    }
    if (count != (uint64_t)FILES * FILE_BYTES) {
        printf("net: a download is wrong\n");
        exit(1);
    }
    return count;
}

static uint64_t run(const char *kind) {
    const char *const dash = strrchr(kind, '-');
    const size_t bytes = dash ? (size_t)atoi(dash + 1) : 0;
    if (strcmp(kind, "downloads") == 0) {
        return downloads();
    }
    if (strncmp(kind, "tcp", 3) == 0) {
        return strcmp(kind, "tcp-in") == 0 ? tcp_in() : tcp_out();
    }
    return strncmp(kind, "udp-in", 6) == 0 ? udp_in(bytes) : udp_out(bytes);
}

int main(int count, char **words) {
    signal(SIGPIPE, SIG_IGN);
    if (count == 2 && strcmp(words[1], "serve") == 0) {
        serve();
    }
    if (count != 4) {
        return 2;
    }
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[2]))};
    inet_pton(AF_INET, words[1], &server.sin_addr);
    length = atof(words[3]);
    static const char *const kinds[] = {"tcp-out", "tcp-in", "udp-out-64", "udp-out-1400", "udp-in-64", "udp-in-1400", "downloads"};
    for (size_t index = 0; index < sizeof kinds / sizeof *kinds; ++index) {
        printf("net: begin %s\n", kinds[index]);
        fflush(stdout);
        if (getchar() == EOF) {
            return 1;
        }
        const uint64_t done = run(kinds[index]);
        printf("net: %s %llu\n", kinds[index], (unsigned long long)done);
        fflush(stdout);
    }
    printf("net: done\n");
    return 0;
}
