// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/worker/install_files.hpp"

#include <gtest/gtest.h>

#include "tests/support/temp_folder.hpp"
#include "vmm/base/files.hpp"

namespace skep {
namespace {

namespace fs = std::filesystem;

class InstallFilesTest : public testing::Test {
  protected:
    InstallFilesTest() {
        fs::create_directory(m_folder / "install");
        for (const char* name : {"vmlinuz", "initrd.gz", "answers.iso"}) {
            EXPECT_TRUE(replace_file(m_folder / "install" / name, "x"));
        }
        m_spec.install_kernel = "install/vmlinuz";
        m_spec.install_initrd = "install/initrd.gz";
        m_spec.cds.push_back({"cd0", "install/answers.iso", {}});
    }
    [[nodiscard]] bool has(const char* name) const { return fs::exists(m_folder / "install" / name); }

    TempFolder m_folder;
    VmSpec m_spec;
};

TEST_F(InstallFilesTest, what_the_settings_name_stays) {
    remove_unused_install_files(m_folder.path(), m_spec);
    EXPECT_TRUE(has("vmlinuz") && has("initrd.gz") && has("answers.iso"));
}

TEST_F(InstallFilesTest, installed_machine_keeps_nothing_of_its_installer) {
    m_spec.install_kernel.clear();
    m_spec.install_initrd.clear();
    remove_unused_install_files(m_folder.path(), m_spec);
    EXPECT_FALSE(has("vmlinuz") || has("initrd.gz"));
    EXPECT_TRUE(has("answers.iso")) << "it is in a drive";
    m_spec.cds.clear();
    remove_unused_install_files(m_folder.path(), m_spec);
    EXPECT_FALSE(fs::exists(m_folder / "install"));
    remove_unused_install_files(m_folder.path(), m_spec);  // nothing there is fine
}

TEST_F(InstallFilesTest, files_of_the_user_stay) {
    const fs::path elsewhere = m_folder / "vmlinuz";
    ASSERT_TRUE(replace_file(elsewhere, "x"));
    fs::create_symlink(elsewhere, m_folder / "install" / "link");
    fs::create_directory(m_folder / "install" / "own");
    remove_unused_install_files(m_folder.path(), VmSpec{});
    EXPECT_TRUE(fs::exists(elsewhere));
    EXPECT_TRUE(has("link") && has("own"));
    EXPECT_FALSE(has("vmlinuz"));
}

TEST_F(InstallFilesTest, folder_that_leads_elsewhere_is_not_touched) {
    fs::rename(m_folder / "install", m_folder / "other");
    fs::create_directory_symlink(m_folder / "other", m_folder / "install");
    remove_unused_install_files(m_folder.path(), VmSpec{});
    EXPECT_TRUE(has("vmlinuz"));
}

}  // namespace
}  // namespace skep
