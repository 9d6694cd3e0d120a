// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/log_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/support/temp_folder.hpp"
#include "vmm/base/fd.hpp"
#include "vmm/base/files.hpp"

namespace skep {
namespace {

constexpr uint64_t k_most = 1000;

class LogFileTest : public testing::Test {
  protected:
    LogFileTest() : m_fd(::open(m_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}
    void write_lines(LogFileLimit& limit, int from, int to) {
        for (int number = from; number < to; ++number) {
            ASSERT_TRUE(write_all(m_fd.get(), "line " + std::to_string(number) + "\n"));
            limit.check();
        }
    }
    [[nodiscard]] std::string text() const { return read_small_file(m_file, 1 << 20).value(); }

    TempFolder m_folder;
    std::filesystem::path m_file = m_folder / "worker.log";
    Fd m_fd;
};

TEST_F(LogFileTest, flood_of_lines_leaves_a_small_file_with_the_newest) {
    LogFileLimit limit(m_file, m_fd.get(), k_most);
    write_lines(limit, 0, 5'000);
    EXPECT_LT(text().size(), k_most + 20);
    EXPECT_GT(text().size(), k_most / 4);
    EXPECT_TRUE(text().ends_with("line 4998\nline 4999\n"));
    EXPECT_TRUE(text().starts_with("(Older lines were left out.)\nline ")) << text().substr(0, 60);
    EXPECT_FALSE(std::filesystem::exists(m_folder / "worker.log.new"));
}

TEST_F(LogFileTest, small_file_is_left_alone) {
    LogFileLimit limit(m_file, m_fd.get(), k_most);
    write_lines(limit, 0, 100);
    EXPECT_TRUE(text().starts_with("line 0\n"));
    EXPECT_EQ(text().size(), 790u);
}

TEST_F(LogFileTest, descriptor_that_is_another_file_is_left_alone) {
    ASSERT_TRUE(replace_file(m_folder / "other", "x"));
    LogFileLimit limit(m_folder / "other", m_fd.get(), k_most);
    write_lines(limit, 0, 1000);
    EXPECT_EQ(text().size(), 8890u);
    EXPECT_EQ(read_small_file(m_folder / "other", 10).value(), "x");
}

TEST_F(LogFileTest, file_that_cannot_be_replaced_goes_on_growing) {
    LogFileLimit limit(m_file, m_fd.get(), k_most);
    std::filesystem::create_directory(m_folder / "worker.log.new");
    write_lines(limit, 0, 1000);
    EXPECT_EQ(text().size(), 8890u) << "no line may be lost";
}

}  // namespace
}  // namespace skep
