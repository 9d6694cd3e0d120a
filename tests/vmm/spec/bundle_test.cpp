// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/spec/bundle.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "tests/support/temp_folder.hpp"
#include "vmm/base/files.hpp"
#include "vmm/spec/spec_yaml.hpp"

namespace skep {
namespace {

class BundleTest : public testing::Test {
  protected:
    static VmSpec named(const std::string& name) {
        VmSpec spec;
        spec.name = name;
        return spec;
    }
    Bundle make(const std::string& name) { return Bundle::create(m_root, named(name)).value(); }
    static void change_memory(const Bundle& bundle, uint64_t mib) {
        ASSERT_TRUE(bundle.update([&](VmSpec& spec) -> Status {
            spec.memory_mib = mib;
            return {};
        }));
    }

    TempFolder m_home;
    ScopedEnvironment m_data{"XDG_DATA_HOME", m_home.path().string()};
    std::filesystem::path m_root = machines_folder();
};

TEST_F(BundleTest, created_bundle_is_listed_and_loads) {
    const Bundle bundle = make("Debian 12");
    EXPECT_EQ(bundle.folder(), m_home / "skep/machines/Debian 12.skep");
    const auto spec = bundle.load();
    ASSERT_TRUE(spec);
    EXPECT_TRUE(is_uuid(spec->id));
    const auto entries = list_bundles();
    ASSERT_EQ(entries.size(), 1u);
    EXPECT_EQ(entries[0].name, "Debian 12");
    EXPECT_EQ(entries[0].spec->id, spec->id);
    EXPECT_EQ(find_bundle("Debian 12")->folder(), bundle.folder());
    EXPECT_EQ(find_bundle(spec->id)->folder(), bundle.folder());
    EXPECT_EQ(find_bundle(bundle.folder().string() + "/")->folder(), bundle.folder());
    EXPECT_EQ(find_bundle("nix").error().message, "There is no machine named 'nix'; there are 'Debian 12'.");
}

TEST_F(BundleTest, taken_name_is_refused_and_a_free_one_found) {
    make("a");
    EXPECT_EQ(Bundle::create(m_root, named("a")).error().kind, ErrorKind::in_use);
    EXPECT_EQ(unique_name("a"), "a 2");
    make("a 2");
    EXPECT_EQ(unique_name("a"), "a 3");
    EXPECT_EQ(unique_name("b"), "b");
}

TEST_F(BundleTest, failed_create_leaves_nothing) {
    VmSpec spec = named("x");
    spec.cpus = 1000;
    EXPECT_FALSE(Bundle::create(m_root, spec));
    EXPECT_FALSE(std::filesystem::exists(m_root / "x.skep"));
    EXPECT_FALSE(Bundle::create(m_root, named("../evil")));
}

TEST_F(BundleTest, broken_bundle_is_listed_with_its_error_and_restored) {
    const Bundle bundle = make("a");
    change_memory(bundle, 2048);
    ASSERT_TRUE(replace_file(bundle.spec_file(), "name: [a\n"));
    make("b");
    const auto entries = list_bundles();
    ASSERT_EQ(entries.size(), 2u);
    EXPECT_FALSE(entries[0].spec);
    EXPECT_EQ(entries[0].error, "'" + bundle.spec_file().string() + "' line 1, column 7: the list that begins here with '[' is not closed with ']'.");
    ASSERT_TRUE(bundle.has_previous());
    EXPECT_EQ(bundle.restore_previous().value(), 1u);
    EXPECT_EQ(bundle.load()->memory_mib, 1024u);
    EXPECT_EQ(read_small_file(bundle.folder() / "vm.yaml.broken", 100).value(), "name: [a\n");
    EXPECT_FALSE(make("c").restore_previous());
}

TEST_F(BundleTest, lost_vm_yaml_is_listed_and_restored) {
    const Bundle bundle = make("a");
    change_memory(bundle, 2048);
    std::filesystem::remove(bundle.spec_file());
    EXPECT_EQ(list_bundles().size(), 1u);
    ASSERT_TRUE(bundle.restore_previous());
    EXPECT_TRUE(bundle.load());
}

TEST_F(BundleTest, three_generations_are_kept) {
    const Bundle bundle = make("a");
    for (const uint64_t mib : {100, 200, 300, 400, 500}) {
        change_memory(bundle, mib);
    }
    const auto memory_of = [&](const std::string& file) {
        return parse_spec(read_small_file(bundle.folder() / file, k_max_spec_bytes).value())->memory_mib;
    };
    EXPECT_EQ(memory_of("vm.yaml"), 500u);
    EXPECT_EQ(memory_of("vm.yaml.1"), 400u);
    EXPECT_EQ(memory_of("vm.yaml.3"), 200u);
    EXPECT_FALSE(std::filesystem::exists(bundle.folder() / "vm.yaml.4"));
    change_memory(bundle, 500);  // unchanged text makes no generation
    EXPECT_EQ(memory_of("vm.yaml.1"), 400u);
}

TEST_F(BundleTest, killed_writer_leaves_a_readable_file) {
    const Bundle bundle = make("a");
    for (int round = 0; round < 12; ++round) {
        const pid_t child = fork();
        if (child == 0) {
            for (uint64_t mib = 16;; mib = mib % 1000 + 16) {
                [[maybe_unused]] const auto saved = bundle.update([&](VmSpec& spec) -> Status {
                    spec.memory_mib = mib;
                    spec.notes = std::string(8000, 'n');
                    return {};
                });
            }
        }
        usleep(static_cast<useconds_t>(2000 + round * 1700));
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        const auto spec = bundle.load();
        ASSERT_TRUE(spec) << spec.error().message;
    }
}

TEST_F(BundleTest, concurrent_updates_lose_nothing) {
    const Bundle bundle = make("a");
    const auto add_cpus = [&] {
        for (int count = 0; count < 10; ++count) {
            EXPECT_TRUE(bundle.update([](VmSpec& spec) -> Status {
                spec.cpus += 1;
                return {};
            }));
        }
    };
    std::thread other(add_cpus);
    add_cpus();
    other.join();
    EXPECT_EQ(bundle.load()->cpus, 21u);
}

TEST_F(BundleTest, run_lock_is_exclusive_and_dies_with_its_holder) {
    Bundle bundle = make("a");
    EXPECT_FALSE(bundle.running());
    {
        const auto lock = RunLock::acquire(bundle.folder());
        ASSERT_TRUE(lock);
        EXPECT_TRUE(bundle.running());
        EXPECT_EQ(RunLock::acquire(bundle.folder()).error().message, "The machine 'a' is running already.");
        EXPECT_FALSE(bundle.rename("b"));
        EXPECT_EQ(bundle.remove(DeleteMode::permanently).error().kind, ErrorKind::in_use);
        change_memory(bundle, 64);  // editing does not need the run lock
    }
    EXPECT_FALSE(bundle.running());
}

TEST_F(BundleTest, rename_moves_the_folder) {
    Bundle bundle = make("a");
    make("taken");
    EXPECT_FALSE(bundle.rename("taken"));
    EXPECT_FALSE(bundle.rename("x/y"));
    ASSERT_TRUE(bundle.rename("new"));
    EXPECT_EQ(bundle.folder(), m_root / "new.skep");
    EXPECT_EQ(bundle.load()->name, "new");
}

TEST_F(BundleTest, trashed_bundle_can_be_taken_back) {
    Bundle bundle = make("a %20 é");
    const auto trashed = bundle.remove(DeleteMode::trash);
    ASSERT_TRUE(trashed) << trashed.error().message;
    EXPECT_EQ(*trashed, m_home / "Trash/files/a %20 é.skep");
    EXPECT_TRUE(list_bundles().empty());
    const auto info = read_small_file(m_home / "Trash/info/a %20 é.skep.trashinfo", 1000);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->rfind("[Trash Info]\nPath=/", 0), 0u);
    EXPECT_NE(info->find("a%20%2520%20%C3%A9.skep"), std::string::npos) << *info;
    const auto back = restore_from_trash(*trashed);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(back->load());
    EXPECT_FALSE(std::filesystem::exists(m_home / "Trash/info/a %20 é.skep.trashinfo"));
}

TEST_F(BundleTest, second_trashed_bundle_of_a_name_keeps_the_first) {
    make("a").remove(DeleteMode::trash).value();
    EXPECT_EQ(make("a").remove(DeleteMode::trash).value(), m_home / "Trash/files/a 2.skep");
}

// A library on another file system than the home folder: /dev/shm is one on every Linux, and every user may write there.
class OtherFileSystemTest : public BundleTest {
  protected:
    void SetUp() override {
        std::error_code error;
        const auto space_here = std::filesystem::space(m_home.path(), error);
        const auto space_there = std::filesystem::space("/dev/shm", error);
        if (error || space_here.capacity == space_there.capacity) {
            GTEST_SKIP() << "/dev/shm is not another file system than that of temporary files";
        }
        m_had_trash = std::filesystem::exists(m_trash);
        std::string name = "/dev/shm/skep-test-XXXXXX";
        m_root = mkdtemp(name.data());
    }
    void TearDown() override {
        std::error_code ignored;
        if (m_root.string().starts_with("/dev/shm/")) {
            std::filesystem::remove_all(m_root, ignored);
        }
        if (!m_had_trash) {
            std::filesystem::remove_all(m_trash, ignored);
        }
    }
    std::filesystem::path m_trash = "/dev/shm/.Trash-" + std::to_string(getuid());
    bool m_had_trash = true;
};

TEST_F(OtherFileSystemTest, trash_of_that_file_system_is_used_and_left_again) {
    Bundle bundle = make("a");
    const std::filesystem::path folder = bundle.folder();
    const auto trashed = bundle.remove(DeleteMode::trash);
    ASSERT_TRUE(trashed) << trashed.error().message;
    EXPECT_EQ(trashed->parent_path(), m_trash / "files");
    EXPECT_FALSE(std::filesystem::exists(folder));
    const auto info = read_small_file(m_trash / "info" / (trashed->filename().string() + ".trashinfo"), 1000);
    ASSERT_TRUE(info);
    EXPECT_NE(info->find("\nPath=" + m_root.filename().string() + "/a.skep\n"), std::string::npos) << *info;
    const auto back = restore_from_trash(*trashed);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->folder(), folder);
}

TEST_F(OtherFileSystemTest, without_a_trash_it_is_told_and_nothing_has_changed) {
    if (m_had_trash) {
        GTEST_SKIP() << m_trash << " is there already";
    }
    ASSERT_TRUE(replace_file(m_trash, "in the way"));
    Bundle bundle = make("a");
    const auto trashed = bundle.remove(DeleteMode::trash);
    ASSERT_FALSE(trashed);
    EXPECT_EQ(trashed.error().kind, ErrorKind::unsupported);
    EXPECT_EQ(trashed.error().message, "'" + bundle.folder().string() +
                                           "' is on a file system without a trash ('/dev/shm'); delete it permanently instead.");
    EXPECT_TRUE(bundle.load());
}

TEST_F(BundleTest, disks_are_sparse_and_listed) {
    const Bundle bundle = make("a");
    VmSpec spec = bundle.load().value();
    const auto disk = bundle.create_disk(spec, {.bytes = uint64_t{20} << 30, .bus = DiskBus::ahci});
    ASSERT_TRUE(disk);
    EXPECT_EQ(disk->file, "disks/disk0.img");
    EXPECT_EQ(bundle.create_disk(spec, {.bytes = uint64_t{1} << 20, .bus = DiskBus::virtio})->id, "disk1");
    EXPECT_FALSE(bundle.create_disk(spec, {.bytes = 1000, .bus = DiskBus::virtio}));
    std::string made;
    const NewDisk other{.bytes = 1 << 20, .format = DiskFormat::qcow2, .make = [&](const std::string& path, uint64_t) -> Status {
                            made = path;
                            return {};
                        }};
    EXPECT_EQ(bundle.create_disk(spec, other)->file, "disks/disk2.qcow2");
    EXPECT_EQ(made, (bundle.folder() / "disks/disk2.qcow2").string());
    spec.disks.pop_back();
    ASSERT_TRUE(bundle.save(spec));
    for (const BundleFile& file : bundle.files()) {
        if (file.path == "disks/disk0.img") {
            EXPECT_EQ(file.size, uint64_t{20} << 30);
            EXPECT_LT(file.allocated, uint64_t{1} << 20);
        }
    }
    EXPECT_EQ(bundle.resolve("disks/disk0.img").value(), bundle.folder() / "disks/disk0.img");
    EXPECT_FALSE(bundle.resolve("../b.skep/disks/x"));
    EXPECT_EQ(bundle.relative_name(bundle.folder() / "disks/x"), "disks/x");
    EXPECT_EQ(bundle.relative_name("/iso/x"), "/iso/x");
}

TEST_F(BundleTest, folder_without_vm_yaml_is_no_bundle) {
    EXPECT_EQ(Bundle::open(m_home.path()).error().kind, ErrorKind::not_found);
    EXPECT_EQ(Bundle::open(m_home / "none").error().kind, ErrorKind::not_found);
    EXPECT_TRUE(list_bundles(m_home / "none").empty());
}

}  // namespace
}  // namespace skep
