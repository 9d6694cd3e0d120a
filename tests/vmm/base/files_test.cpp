// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/base/files.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/temp_folder.hpp"

namespace skep {
namespace {

TEST(Files, replaced_file_holds_new_content_and_leaves_no_temporary) {
    const TempFolder folder;
    ASSERT_TRUE(replace_file(folder / "a", "one"));
    ASSERT_TRUE(replace_file(folder / "a", "two"));
    EXPECT_EQ(read_small_file(folder / "a", 10).value(), "two");
    const std::filesystem::directory_iterator entries(folder.path());
    EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(Files, replacing_in_missing_folder_fails_with_the_path) {
    const TempFolder folder;
    const Status status = replace_file(folder / "none/a", "x");
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind, ErrorKind::not_found);
    EXPECT_NE(status.error().message.find("none/a"), std::string::npos);
}

TEST(Files, reading_refuses_large_files_folders_and_fifos) {
    const TempFolder folder;
    ASSERT_TRUE(replace_file(folder / "a", std::string(11, 'x')));
    EXPECT_EQ(read_small_file(folder / "a", 10).error().kind, ErrorKind::invalid_input);
    EXPECT_EQ(read_small_file(folder / "a", 11)->size(), 11u);
    EXPECT_FALSE(read_small_file(folder.path(), 10));
    ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
    EXPECT_FALSE(read_small_file(folder / "fifo", 10));
    EXPECT_EQ(read_small_file(folder / "none", 10).error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace skep
