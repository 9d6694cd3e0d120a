// SPDX-License-Identifier: GPL-3.0-or-later
// power-cuts: takes the log of what a guest did to a disk (skep-vmm --record-disks), cuts the power at many moments of it, and
// looks at what is left. See tests/by_hand/power_cuts for all of it in one go.
//
//   power-cuts --log FILE --disk ID --image FILE --size BYTES --format raw|qcow2 --said ID --work FOLDER
//              [--cuts N] [--seed N] [--shard I/N] [--qemu-every N] [--save FOLDER] [--lie]
//
// --image is the image's file as it was at the beginning, --said the disk that cut_files talks to. --lie: takes the host's
// flushes for nothing, so that promises must be found broken. --save: keeps what each finding was found in.
// Ends with 0, or with 1 after a sentence for each finding.
//
// Half of the cuts tear writes at sectors, and what the guest flushed and the image's tables are looked at: Skep relies on no
// more. ext4 relies on its blocks, the superblock above all, being written whole: the other half tears at those, and the file
// system and its files are looked at, too.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>

#include "tests/power_cuts/disk_history.hpp"
#include "tests/power_cuts/file_checks.hpp"
#include "tests/power_cuts/guest_files.hpp"

namespace skep::test {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t k_block = 1024;  // of the guest's ext4

enum class Torn { at_sectors, at_blocks };  // the writes that are under way

struct Options {
    std::string log, disk, said, image, format = "raw";
    fs::path work, save;
    uint64_t size = 0;
    unsigned cuts = 100, seed = 1, shard = 0, shards = 1, qemu_every = 50;
    Flushes flushes = Flushes::are_true;
};

struct Totals {
    uint64_t cuts = 0, lost = 0, kept = 0, promised = 0, leaks = 0, qemu = 0, problems = 0;
};

class Cuts {
  public:
    Cuts(const Options& options, const Recording& recording, std::vector<uint8_t> image)
        : m_options(options), m_recording(recording), m_disk(recording.disks.at(options.disk)),
          m_said(recording.disks.at(options.said)), m_file(std::move(image), options.flushes),
          m_guest(std::vector<uint8_t>(options.size), Flushes::are_true),
          m_seen(options.size),
          m_image(options.work / fmt::format("disk-{}.img", options.shard), options.size) {}

    // False: something was found, or nothing could be looked at.
    bool run();

  private:
    void step(const RecordedEvent& event);
    void cut(unsigned number, size_t event);
    [[nodiscard]] std::string problem_of(unsigned number, std::span<const uint8_t> file, Torn writes);
    [[nodiscard]] std::string qemu_problem(std::span<const uint8_t> file);
    void save(unsigned number) const;
    void report() const;

    const Options& m_options;
    const Recording& m_recording;
    uint32_t m_disk, m_said;
    DiskHistory m_file, m_guest;
    GuestFiles m_files;
    std::vector<uint8_t> m_seen;  // the disk as its guest will see it
    std::span<const uint8_t> m_looked_at;  // the disk after the cut, or the image's file where it cannot be read
    ImageForPrograms m_image;
    Totals m_totals;
};

void Cuts::step(const RecordedEvent& event) {
    const RecordedRequest& request = m_recording.requests[event.request];
    if (request.disk == m_said && request.layer == DiskLayer::guest && event.began && request.data != nullptr) {
        m_files.said({reinterpret_cast<const char*>(request.data), DiskHistory::k_sector});
    }
    if (request.disk != m_disk) {
        return;
    }
    DiskHistory& history = request.layer == DiskLayer::file ? m_file : m_guest;
    if (event.began) {
        history.began(event.request, request);
    } else {
        history.ended(event.request, request);
    }
}

std::string Cuts::qemu_problem(std::span<const uint8_t> file) {
    ++m_totals.qemu;
    const fs::path path = m_options.work / fmt::format("cut-{}.qcow2", m_options.shard);
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
    const Answer answer = ask_program("qemu-img check " + path.string());
    fs::remove(path);
    return answer.code == 0 || answer.code == 3 ? "" : fmt::format("qemu-img check exits with {}: {}", answer.code, answer.text);
}

std::string Cuts::problem_of(unsigned number, std::span<const uint8_t> file, Torn writes) {
    constexpr unsigned k_whole_every = 16;  // nearly all of the disk was never written to
    const std::vector<uint64_t> pieces =
        m_guest.pieces(m_totals.cuts % k_whole_every == 1 ? DiskHistory::Pieces::all : DiskHistory::Pieces::written);
    m_looked_at = file;
    if (m_options.format == "qcow2") {
        TablesAfterCut after = open_after_cut(file, m_seen, pieces);
        m_totals.leaks += after.leaks;
        if (after.problem.empty() && number % m_options.qemu_every == 0) {
            after.problem = qemu_problem(file);
        }
        if (!after.problem.empty()) {
            return after.problem;
        }
        m_looked_at = m_seen;
    }
    if (const int64_t sector = m_guest.wrong_sector(m_looked_at, pieces); sector >= 0) {
        return fmt::format("sector {} holds neither what was flushed nor what was written since", sector);
    }
    if (writes == Torn::at_sectors) {
        return {};
    }
    m_image.put(m_looked_at);
    if (std::string problem = ext4_problem(m_image.path()); !problem.empty()) {
        return problem;
    }
    const fs::path folder = m_options.work / fmt::format("files-{}", m_options.shard);
    fs::remove_all(folder);
    fs::create_directory(folder);
    const Answer dumped = ask_program(fmt::format("debugfs -R 'rdump / {}' {}", folder.string(), m_image.path()));
    m_totals.promised += m_files.promised();
    return dumped.code == 0 ? m_files.broken_promise(folder) : "debugfs: " + dumped.text;
}

void Cuts::cut(unsigned number, size_t event) {
    std::mt19937 random(m_options.seed * 1000003 + number);
    const Torn writes = random() % 2 == 0 ? Torn::at_sectors : Torn::at_blocks;
    const DiskHistory::Cut cut = m_file.cut(random, writes == Torn::at_sectors ? DiskHistory::k_sector : k_block);
    ++m_totals.cuts;
    m_totals.lost += cut.lost;
    m_totals.kept += cut.kept;
    const std::string problem = problem_of(number, cut.bytes, writes);
    if (!problem.empty()) {
        ++m_totals.problems;
        fmt::print("cut {} before event {}: {}\n", number, event, problem);
        save(number);
    }
    m_file.end_cut();
    if (m_totals.cuts % 100 == 0) {
        report();
    }
}

void Cuts::save(unsigned number) const {
    if (!m_options.save.empty()) {
        std::ofstream file(m_options.save / fmt::format("cut-{}.img", number), std::ios::binary);
        file.write(reinterpret_cast<const char*>(m_looked_at.data()), static_cast<std::streamsize>(m_looked_at.size()));
    }
}

void Cuts::report() const {
    fmt::print("shard {}: {} cuts, {} sectors lost and {} kept of what was not flushed, {} files as promised, {} clusters leaked, "
               "{} times qemu-img, {} problems\n",
               m_options.shard, m_totals.cuts, m_totals.lost, m_totals.kept, m_totals.promised, m_totals.leaks, m_totals.qemu,
               m_totals.problems);
    std::fflush(stdout);
}

bool Cuts::run() {
    constexpr uint64_t k_most_problems = 10;
    if (m_image.path().empty()) {
        fmt::print("{} cannot be used\n", m_options.work.string());
        return false;
    }
    size_t at = 0;
    while (at < m_recording.events.size() && !m_files.is_ready()) {
        step(m_recording.events[at++]);
    }
    std::mt19937 random(m_options.seed);
    std::multimap<size_t, unsigned> cuts;  // number by event
    for (unsigned number = 0; number < m_options.cuts && at < m_recording.events.size(); ++number) {
        const size_t event = at + random() % (m_recording.events.size() - at);
        if (number % m_options.shards == m_options.shard) {
            cuts.emplace(event, number);
        }
    }
    for (const auto& [event, number] : cuts) {
        for (; at < event; ++at) {
            step(m_recording.events[at]);
        }
        cut(number, event);
        if (m_totals.problems == k_most_problems) {
            break;
        }
    }
    report();
    return m_totals.cuts != 0 && m_totals.problems == 0;
}

bool take(Options& options, std::string_view name, const char* value) {
    const auto number = [&] { return static_cast<unsigned>(std::strtoul(value, nullptr, 10)); };
    const std::map<std::string_view, std::string*> texts{{"--log", &options.log},     {"--disk", &options.disk},
                                                         {"--said", &options.said},   {"--image", &options.image},
                                                         {"--format", &options.format}};
    const std::map<std::string_view, unsigned*> numbers{
        {"--cuts", &options.cuts}, {"--seed", &options.seed}, {"--qemu-every", &options.qemu_every}};
    if (const auto text = texts.find(name); text != texts.end()) {
        *text->second = value;
    } else if (const auto found = numbers.find(name); found != numbers.end()) {
        *found->second = number();
    } else if (name == "--size") {
        options.size = std::strtoull(value, nullptr, 10);
    } else if (name == "--work") {
        options.work = value;
    } else if (name == "--save") {
        options.save = value;
    } else if (name == "--shard") {
        return std::sscanf(value, "%u/%u", &options.shard, &options.shards) == 2 && options.shard < options.shards;
    } else {
        return false;
    }
    return true;
}

int run_all(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        if (std::string_view(argv[i]) == "--lie") {
            options.flushes = Flushes::are_lies;
        } else if (i + 1 == argc || !take(options, argv[i], argv[i + 1])) {
            fmt::print("power-cuts: {} is not understood\n", argv[i]);
            return 2;
        } else {
            ++i;
        }
    }
    const auto recording = Recording::load(options.log);
    if (!recording || !recording->disks.contains(options.disk) || !recording->disks.contains(options.said)) {
        fmt::print("power-cuts: {}\n", recording ? "the log is of other disks" : recording.error().message);
        return 2;
    }
    std::ifstream stream(options.image, std::ios::binary);
    std::vector<uint8_t> image(std::istreambuf_iterator<char>(stream), {});
    if (image.empty() || options.size == 0 || options.qemu_every == 0) {
        fmt::print("power-cuts: --image, --size and --qemu-every have to be given\n");
        return 2;
    }
    fmt::print("{} requests, {} events\n", recording->requests.size(), recording->events.size());
    return Cuts(options, *recording, std::move(image)).run() ? 0 : 1;
}

}  // namespace
}  // namespace skep::test

int main(int argc, char** argv) { return skep::test::run_all(argc, argv); }
