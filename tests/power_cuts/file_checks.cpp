// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/power_cuts/file_checks.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <sstream>
#include <string_view>
#include <unordered_map>

#include "devices/block/block_requests.hpp"
#include "devices/formats/qcow2.hpp"
#include "devices/formats/qcow2_create.hpp"

namespace skep::test {
namespace {

constexpr size_t k_piece = 64 << 10;
constexpr uint64_t k_next_session = 2;  // of the host: what a log says was another one's

// Of "e2fsck -fy" on a file system that was not unmounted.
bool is_harmless(std::string_view line) {
    constexpr std::array<std::string_view, 11> k_harmless{
        "e2fsck ", "recovering journal", "Clearing orphaned inode", "Truncating orphaned inode", "Pass ",
        "FILE SYSTEM WAS MODIFIED", "files (",
        // The superblock's sums are brought up to date when it is unmounted.
        "Free blocks count wrong (", "Free inodes count wrong (", "Fix? yes", "Setting free "};
    return line.empty() || std::ranges::any_of(k_harmless, [&](std::string_view known) { return line.find(known) != line.npos; });
}

// Reads from what is there, and keeps apart what is written.
class OverlayFile final : public FileEngine {
  public:
    explicit OverlayFile(std::span<const uint8_t> file) : m_file(file) {}
    void start(FileOp op) override {
        uint64_t at = op.offset;
        if (op.kind == FileOpKind::read || op.kind == FileOpKind::write || op.kind == FileOpKind::write_through) {
            const std::lock_guard lock(m_mutex);
            for (const iovec& buffer : op.buffers) {
                move(op.kind, at, {static_cast<uint8_t*>(buffer.iov_base), buffer.iov_len});
                at += buffer.iov_len;
            }
        }
        op.done(static_cast<int64_t>(at - op.offset));
    }

  private:
    static constexpr uint64_t k_page = 4096;
    void move(FileOpKind kind, uint64_t at, std::span<uint8_t> bytes) {
        while (!bytes.empty()) {
            const uint64_t first = at % k_page;
            const auto now = bytes.first(std::min<size_t>(bytes.size(), k_page - first));
            const auto found = m_pages.find(at / k_page);
            if (kind != FileOpKind::read) {
                std::ranges::copy(now, page(at / k_page).begin() + static_cast<ptrdiff_t>(first));
            } else if (found != m_pages.end()) {
                std::copy_n(found->second.begin() + static_cast<ptrdiff_t>(first), now.size(), now.begin());
            } else {
                copy_from_file(at, now);
            }
            at += now.size();
            bytes = bytes.subspan(now.size());
        }
    }
    std::vector<uint8_t>& page(uint64_t number) {
        std::vector<uint8_t>& page = m_pages[number];
        if (page.empty()) {
            page.resize(k_page);
            copy_from_file(number * k_page, page);
        }
        return page;
    }
    // Zeros behind its end: our own writes may have made it longer.
    void copy_from_file(uint64_t at, std::span<uint8_t> to) const {
        const auto there = m_file.subspan(std::min<size_t>(at, m_file.size()));
        const size_t count = std::min(there.size(), to.size());
        std::copy_n(there.begin(), count, to.begin());
        std::fill(to.begin() + static_cast<ptrdiff_t>(count), to.end(), uint8_t{0});
    }

    std::mutex m_mutex;
    std::span<const uint8_t> m_file;
    std::unordered_map<uint64_t, std::vector<uint8_t>> m_pages;
};

std::string first_finding(const Qcow2Check& report) {
    return report.errors == 0 ? "" : report.findings.empty() ? "errors" : report.findings.front();
}

}  // namespace

ImageForPrograms::ImageForPrograms(const std::filesystem::path& path, size_t size)
    : m_fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    if (!m_fd || ftruncate(m_fd.get(), static_cast<off_t>(size)) != 0) {
        return;
    }
    void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, m_fd.get(), 0);
    if (mapped != MAP_FAILED) {
        m_mapped = {static_cast<uint8_t*>(mapped), size};
        m_path = path.string();
    }
}

ImageForPrograms::~ImageForPrograms() {
    if (!m_mapped.empty()) {
        munmap(m_mapped.data(), m_mapped.size());
    }
}

void ImageForPrograms::put(std::span<const uint8_t> bytes) {
    for (uint64_t at = 0; at < m_mapped.size(); at += k_piece) {
        const size_t count = std::min<size_t>(k_piece, m_mapped.size() - at);
        if (std::memcmp(&m_mapped[at], &bytes[at], count) != 0) {
            std::memcpy(&m_mapped[at], &bytes[at], count);
        }
    }
}

Answer ask_program(const std::string& command) {
    Answer answer;
    FILE* const pipe = popen(("PATH=$PATH:/usr/sbin:/sbin; exec 2>&1; exec " + command).c_str(), "r");
    if (pipe == nullptr) {
        return answer;
    }
    std::array<char, 4096> bytes;
    for (size_t count = 1; count != 0; answer.text.append(bytes.data(), count)) {
        count = fread(bytes.data(), 1, bytes.size(), pipe);
    }
    const int status = pclose(pipe);
    answer.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return answer;
}

std::string ext4_problem(const std::string& image) {
    const Answer repair = ask_program("e2fsck -fy " + image);
    if (repair.code != 0 && repair.code != 1) {
        return fmt::format("e2fsck -fy exits with {}: {}", repair.code, repair.text);
    }
    std::istringstream lines(repair.text);
    for (std::string line; std::getline(lines, line);) {
        if (!is_harmless(line)) {
            return fmt::format("e2fsck -fy says: {}", repair.text);
        }
    }
    const Answer check = ask_program("e2fsck -fn " + image);
    return check.code == 0 ? "" : fmt::format("e2fsck -fn exits with {}: {}", check.code, check.text);
}

TablesAfterCut open_after_cut(std::span<const uint8_t> file, std::span<uint8_t> disk, std::span<const uint64_t> pieces) {
    TablesAfterCut after;
    OverlayFile looked_at(file);
    const auto store = qcow2::Store::open(looked_at, file.size(), "cut.qcow2", {.access = ImageAccess::read_only, .session = k_next_session});
    if (!store) {
        return {.problem = store.error().message};
    }
    const auto report = check_qcow2(**store, file.size(), Repair::nothing);
    after.problem = report ? first_finding(*report) : report.error().message;
    after.leaks = report ? report->leaks : 0;
    Qcow2Options options;
    options.commit_seconds = 0;
    options.acknowledged = Acknowledged::in_file;
    options.session = k_next_session;
    const auto image = Qcow2Image::open("cut.qcow2", Fd(), std::make_unique<OverlayFile>(file), file.size(), nullptr, options);
    if (!image) {
        after.problem = image.error().message;
        return after;
    }
    for (const uint64_t at : pieces) {
        BlockRequest read;
        read.offset = at;
        const auto to = disk.subspan(at, std::min(k_piece, disk.size() - at));
        read.buffers = {{to.data(), to.size()}};
        if (start_request(**image, std::move(read)).get() != BlockStatus::ok) {
            after.problem = "the disk cannot be read";
        }
    }
    return after;
}

}  // namespace skep::test
