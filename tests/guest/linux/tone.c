// SPDX-License-Identifier: GPL-3.0-or-later
// A guest's program for the sound tests, without libraries: opens the first sound card by ALSA's system calls alone.
//   tone play HERTZ SECONDS RATE    a sine on both sides, half of full scale; then: played FRAMES, underruns N
//   tone record SECONDS RATE        prints: heard HERTZ, overruns N
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <sound/asound.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { k_period = 1024, k_periods = 16, k_channels = 2 };
static const double k_turn = 6.283185307179586;

static void fail(const char* what) {
    printf("tone: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int ends_with(const char* text, const char* end) {
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

// Every switch on; loudspeakers as loud as they go, the microphone as it is.
static void open_mixer(void) {
    const int mixer = open("/dev/snd/controlC0", O_RDWR);
    struct snd_ctl_elem_id ids[64];
    struct snd_ctl_elem_list list;
    memset(&list, 0, sizeof list);
    list.space = 64;
    list.pids = ids;
    if (mixer < 0 || ioctl(mixer, SNDRV_CTL_IOCTL_ELEM_LIST, &list) != 0) {
        fail("mixer");
    }
    for (unsigned index = 0; index < list.used; ++index) {
        struct snd_ctl_elem_info info;
        struct snd_ctl_elem_value value;
        memset(&info, 0, sizeof info);
        memset(&value, 0, sizeof value);
        info.id = value.id = ids[index];
        const char* name = (const char*)ids[index].name;
        if (ioctl(mixer, SNDRV_CTL_IOCTL_ELEM_INFO, &info) != 0 || ioctl(mixer, SNDRV_CTL_IOCTL_ELEM_READ, &value) != 0 ||
            !(ends_with(name, "Switch") || ends_with(name, "Playback Volume"))) {
            continue;
        }
        for (unsigned channel = 0; channel < info.count; ++channel) {
            value.value.integer.value[channel] = info.value.integer.max;
        }
        const int written = ioctl(mixer, SNDRV_CTL_IOCTL_ELEM_WRITE, &value);
        printf("tone: %s %ld%s\n", name, value.value.integer.value[0], written < 0 ? " (refused)" : "");
    }
    close(mixer);
}

static struct snd_interval* interval(struct snd_pcm_hw_params* params, int which) {
    return &params->intervals[which - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
}

static void choose(struct snd_pcm_hw_params* params, int which, unsigned value) {
    interval(params, which)->min = interval(params, which)->max = value;
    interval(params, which)->integer = 1;
}

static void choose_mask(struct snd_pcm_hw_params* params, int which, unsigned value) {
    struct snd_mask* mask = &params->masks[which - SNDRV_PCM_HW_PARAM_FIRST_MASK];
    memset(mask, 0, sizeof *mask);
    mask->bits[value / 32] = 1U << value % 32;
}

static int open_stream(const char* path, unsigned rate) {
    const int stream = open(path, O_RDWR);
    struct snd_pcm_hw_params hardware;
    struct snd_pcm_sw_params software;
    if (stream < 0) {
        fail(path);
    }
    memset(&hardware, 0, sizeof hardware);
    memset(hardware.masks, 0xff, sizeof hardware.masks);
    for (unsigned index = 0; index < sizeof hardware.intervals / sizeof hardware.intervals[0]; ++index) {
        hardware.intervals[index].max = UINT_MAX;
    }
    hardware.rmask = ~0U;
    choose_mask(&hardware, SNDRV_PCM_HW_PARAM_ACCESS, SNDRV_PCM_ACCESS_RW_INTERLEAVED);
    choose_mask(&hardware, SNDRV_PCM_HW_PARAM_FORMAT, SNDRV_PCM_FORMAT_S16_LE);
    choose(&hardware, SNDRV_PCM_HW_PARAM_CHANNELS, k_channels);
    choose(&hardware, SNDRV_PCM_HW_PARAM_RATE, rate);
    choose(&hardware, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, k_period);
    choose(&hardware, SNDRV_PCM_HW_PARAM_PERIODS, k_periods);
    if (ioctl(stream, SNDRV_PCM_IOCTL_HW_PARAMS, &hardware) != 0) {
        fail("hardware parameters");
    }
    memset(&software, 0, sizeof software);
    software.period_step = 1;
    software.avail_min = k_period;
    software.start_threshold = k_period * (k_periods - 1);
    software.stop_threshold = k_period * k_periods;
    software.boundary = k_period * k_periods;
    while (software.boundary * 2 <= (unsigned long)(LONG_MAX - k_period * k_periods)) {
        software.boundary *= 2;
    }
    if (ioctl(stream, SNDRV_PCM_IOCTL_SW_PARAMS, &software) != 0 || ioctl(stream, SNDRV_PCM_IOCTL_PREPARE) != 0) {
        fail("software parameters");
    }
    return stream;
}

static int play(double hertz, unsigned seconds, unsigned rate) {
    const int stream = open_stream("/dev/snd/pcmC0D0p", rate);
    static short samples[k_period * k_channels];
    unsigned long played = 0;
    unsigned underruns = 0;
    while (played < (unsigned long)seconds * rate) {
        for (unsigned index = 0; index < k_period; ++index) {
            const double sample = 16384 * sin(k_turn * hertz * (double)(played + index) / rate);
            samples[index * 2] = samples[index * 2 + 1] = (short)lrint(sample);
        }
        struct snd_xferi transfer = {0, samples, k_period};
        if (ioctl(stream, SNDRV_PCM_IOCTL_WRITEI_FRAMES, &transfer) == 0) {
            played += k_period;
        } else if (errno != EPIPE || ioctl(stream, SNDRV_PCM_IOCTL_PREPARE) != 0) {
            fail("writing");
        } else {
            ++underruns;
        }
    }
    ioctl(stream, SNDRV_PCM_IOCTL_DRAIN);
    close(stream);
    printf("tone: played %lu, underruns %u\n", played, underruns);
    return 0;
}

static int record(unsigned seconds, unsigned rate) {
    const int stream = open_stream("/dev/snd/pcmC0D0c", rate);
    static short samples[k_period * k_channels];
    unsigned overruns = 0;
    unsigned long crossings = 0;
    double first = 0;
    double last = 0;
    short before = 0;
    if (ioctl(stream, SNDRV_PCM_IOCTL_START) != 0) {
        fail("starting");
    }
    for (unsigned long heard = 0; heard < (unsigned long)seconds * rate; heard += k_period) {
        struct snd_xferi transfer = {0, samples, k_period};
        if (ioctl(stream, SNDRV_PCM_IOCTL_READI_FRAMES, &transfer) != 0) {
            if (errno != EPIPE || ioctl(stream, SNDRV_PCM_IOCTL_PREPARE) != 0 || ioctl(stream, SNDRV_PCM_IOCTL_START) != 0) {
                fail("reading");
            }
            ++overruns;
            continue;
        }
        for (unsigned index = 0; index < k_period; ++index) {
            const short now = samples[index * 2];
            if (before < 0 && now >= 0) {
                last = (double)(heard + index) - (double)now / (now - before);
                first = crossings++ == 0 ? last : first;
            }
            before = now;
        }
    }
    close(stream);
    printf("tone: heard %.2f, overruns %u\n", crossings < 2 ? 0 : (double)(crossings - 1) * rate / (last - first), overruns);
    return 0;
}

int main(int count, char** arguments) {
    open_mixer();
    if (count == 5 && strcmp(arguments[1], "play") == 0) {
        return play(atof(arguments[2]), (unsigned)atoi(arguments[3]), (unsigned)atoi(arguments[4]));
    }
    if (count == 4 && strcmp(arguments[1], "record") == 0) {
        return record((unsigned)atoi(arguments[2]), (unsigned)atoi(arguments[3]));
    }
    printf("tone: play HERTZ SECONDS RATE | record SECONDS RATE\n");
    return 1;
}
