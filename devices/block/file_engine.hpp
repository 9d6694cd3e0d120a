// SPDX-License-Identifier: GPL-3.0-or-later
// Asynchronous operations on one file descriptor: io_uring where the host allows it, else a few threads.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "vmm/base/result.hpp"

namespace skep {

enum class FileOpKind {
    read,
    write,
    write_through,  // RWF_DSYNC
    sync,           // fdatasync
    punch_hole,     // keeps the size; the range reads as zeros
    zero_range,     // keeps the size and, where the file system can, the blocks
    nothing,        // completes with 0: a way onto the engine's thread
};

struct FileOp {
    FileOpKind kind = FileOpKind::nothing;
    uint64_t offset = 0;
    uint64_t length = 0;         // of punch_hole and zero_range
    std::vector<iovec> buffers;  // at most IOV_MAX
    // Bytes moved or 0, or -errno. On a thread of the engine, no lock held; may start further operations.
    std::function<void(int64_t result)> done;
};

class FileEngine {
  public:
    // Waits for everything that was started.
    virtual ~FileEngine() = default;
    // Any thread; never waits for the operation.
    virtual void start(FileOp op) = 0;
};

enum class IoMethod { automatic, uring, threads };

// fd outlives the engine. `uring` fails with `unsupported` where io_uring is refused; `automatic` then takes threads.
Result<std::unique_ptr<FileEngine>> make_file_engine(int fd, IoMethod method);
Result<std::unique_ptr<FileEngine>> make_uring_engine(int fd);
std::unique_ptr<FileEngine> make_thread_engine(int fd);

}  // namespace skep
