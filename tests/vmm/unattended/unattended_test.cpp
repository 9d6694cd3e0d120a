// SPDX-License-Identifier: GPL-3.0-or-later
// Unattended installation: what is refused and in which words, what the answer files say, and what becomes of a machine.
#include "vmm/unattended/unattended.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <crypt.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <yaml-cpp/yaml.h>

#include <fstream>

#include "tests/support/temp_folder.hpp"
#include "vmm/media/debian_installer.hpp"
#include "vmm/spec/spec_yaml.hpp"
#include "vmm/unattended/answer_files.hpp"

namespace skep {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string k_password = "corr: \"horse\" $6$";

AnswerForm good_form() {
    return {.full_name = "Ada Lovelace", .user = "ada", .password = k_password, .host_name = "engine"};
}

std::string read_text(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

unsigned permissions(const std::filesystem::path& path) {
    struct stat info{};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
}

// Whatever archives follow each other in the file, as one mapping of names to contents.
std::map<std::string, std::string> unpack(const std::filesystem::path& path) {
    std::map<std::string, std::string> files;
    archive* reader = archive_read_new();
    archive_read_support_format_all(reader);
    EXPECT_EQ(archive_read_open_filename(reader, path.c_str(), 4096), ARCHIVE_OK);
    archive_entry* entry = nullptr;
    while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
        if (archive_entry_filetype(entry) != AE_IFREG) {
            continue;
        }
        std::string content(static_cast<size_t>(archive_entry_size(entry)), '\0');
        EXPECT_EQ(archive_read_data(reader, content.data(), content.size()), static_cast<la_ssize_t>(content.size()));
        files[archive_entry_pathname(entry)] = content;
    }
    archive_read_free(reader);
    return files;
}

TEST(Answers, good_form_has_no_problem_and_its_hash_is_the_passwords) {
    const auto answers = answers_from(good_form());
    ASSERT_TRUE(answers) << answers.error().message;
    EXPECT_THAT(answers->password_hash, testing::StartsWith("$6$"));
    crypt_data data{};
    EXPECT_EQ(crypt_r(k_password.c_str(), answers->password_hash.c_str(), &data), answers->password_hash);
    EXPECT_NE(answers_from(good_form())->password_hash, answers->password_hash) << "the salt must be another";
}

TEST(Answers, bad_parts_are_refused_in_one_sentence_each) {
    for (const char* user : {"", "Ada", "1ada", "ada lovelace", "ada:x", "root", "sudo", "a23456789012345678901234567890123"}) {
        EXPECT_NE(user_problem(user), "") << user;
    }
    for (const char* host : {"", "-a", "a-", "a.b", "a_b", "Engine", "a b"}) {
        EXPECT_NE(host_name_problem(host), "") << host;
    }
    EXPECT_NE(host_name_problem(std::string(64, 'a')), "");
    EXPECT_NE(full_name_problem("a:b"), "");
    EXPECT_NE(full_name_problem("a\nd-i passwd/root-login boolean true"), "");
    EXPECT_NE(password_problem(""), "");
    EXPECT_NE(password_problem("a\nb"), "");
    EXPECT_EQ(user_problem("ada-l_1"), "");
    EXPECT_EQ(host_name_problem("engine-2"), "");
    EXPECT_EQ(full_name_problem("Ada, Lady"), "The full name must not hold colons, commas, equals signs or control characters.");
    EXPECT_EQ(full_name_problem(""), "");
}

TEST(Answers, refused_form_names_its_first_problem) {
    AnswerForm form = good_form();
    form.user = "root";
    const auto answers = answers_from(form);
    ASSERT_FALSE(answers);
    EXPECT_EQ(answers.error().message, user_problem("root"));
}

TEST(Answers, host_names_are_made_of_machine_names) {
    EXPECT_EQ(suggest_host_name("Debian 12"), "debian-12");
    EXPECT_EQ(suggest_host_name("  A  (test) "), "a-test");
    EXPECT_EQ(suggest_host_name("\xc3\xa4"), "vm");
    EXPECT_EQ(host_name_problem(suggest_host_name(std::string(200, 'X'))), "");
}

TEST(AnswerFiles, preseed_says_what_was_answered) {
    Answers answers = *answers_from(good_form());
    answers.region = {};
    const std::string text = preseed_text(answers, "/dev/vda");
    for (const char* line :
         {"d-i passwd/user-fullname string Ada Lovelace\n", "d-i passwd/username string ada\n", "d-i netcfg/get_hostname string engine\n",
          "d-i partman-auto/disk string /dev/vda\n", "d-i debian-installer/locale string en_US.UTF-8\n",
          "d-i time/zone string Etc/UTC\n"}) {
        EXPECT_THAT(text, HasSubstr(line));
    }
    EXPECT_THAT(text, HasSubstr("d-i passwd/user-password-crypted password " + answers.password_hash + "\n"));
    EXPECT_THAT(text, Not(HasSubstr(k_password)));
}

TEST(AnswerFiles, cloud_config_is_yaml_whatever_a_name_holds) {
    Answers answers = *answers_from(good_form());
    answers.full_name = "A \"quoted\" \\ name # {x}";
    const std::string text = cloud_user_data(answers);
    EXPECT_THAT(text, testing::StartsWith("#cloud-config\n"));
    EXPECT_THAT(text, HasSubstr("    gecos: \"A \\\"quoted\\\" \\\\ name # {x}\"\n"));
    EXPECT_THAT(text, HasSubstr("    hashed_passwd: \"" + answers.password_hash + "\"\n"));
    EXPECT_EQ(cloud_meta_data(answers, "some-id"), "instance-id: \"some-id\"\nlocal-hostname: \"engine\"\n");
    const YAML::Node config = YAML::Load(text);
    EXPECT_EQ(config["users"][0]["gecos"].as<std::string>(), answers.full_name);
    const YAML::Node set_locale = config["runcmd"][0];
    EXPECT_EQ(set_locale.size(), 5U);
    EXPECT_EQ(set_locale[0].as<std::string>(), "sh");
    EXPECT_THAT(set_locale[2].as<std::string>(), HasSubstr("\n  locale-gen\nfi\n"));
    EXPECT_EQ(set_locale[4].as<std::string>(), "en_US.UTF-8");
    EXPECT_FALSE(config["locale"].as<bool>());
}

class UnattendedTest : public testing::Test {
  protected:
    // A machine with one disk, as it is before it is prepared.
    Bundle make_bundle(VmSpec& spec) {
        spec.name = "one";
        spec.display = DisplayKind::vga;
        auto bundle = Bundle::create(m_folder.path(), spec);
        EXPECT_TRUE(bundle) << bundle.error().message;
        spec = *bundle->load();
        EXPECT_TRUE(bundle->create_disk(spec, {.bytes = 1 << 20, .bus = DiskBus::nvme}));
        return std::move(*bundle);
    }
    MediumInfo make_installer_cd() {
        const std::filesystem::path iso = m_folder.path() / "debian-12.5.0-amd64-netinst.iso";
        EXPECT_TRUE(write_iso(iso, "DEBIAN", {{"install.amd/vmlinuz", "kernel"}, {"install.amd/initrd.gz", "initial"}}));
        auto medium = inspect_medium(iso.string());
        EXPECT_TRUE(medium);
        return *medium;
    }
    TempFolder m_folder;
};

TEST_F(UnattendedTest, debian_cd_is_recognised_and_starts_by_a_copy_of_its_own_kernel) {
    const MediumInfo medium = make_installer_cd();
    EXPECT_EQ(unattended_kind(medium), UnattendedKind::debian);
    const std::string before = read_text(medium.path);
    VmSpec spec;
    const Bundle bundle = make_bundle(spec);
    const Answers answers = *answers_from(good_form());
    const Status prepared = prepare_unattended(bundle, spec, medium, answers);
    ASSERT_TRUE(prepared) << prepared.error().message;
    EXPECT_EQ(spec.install_kernel, "install/vmlinuz");
    EXPECT_THAT(spec.install_append, testing::StartsWith("auto=true priority=critical"));
    EXPECT_EQ(spec.firmware, Firmware::bios) << "what starts the installed system";
    EXPECT_EQ(read_text(bundle.folder() / "install/vmlinuz"), "kernel");
    const std::filesystem::path ram_disk = bundle.folder() / spec.install_initrd;
    EXPECT_THAT(read_text(ram_disk), testing::StartsWith(std::string("initial\0", 8)));
    EXPECT_EQ(permissions(ram_disk), 0600U);
    EXPECT_EQ(permissions(bundle.folder() / "install"), 0700U);
    EXPECT_EQ(read_text(medium.path), before) << "the medium must not be changed";
    EXPECT_THAT(print_spec(spec), Not(HasSubstr("$6$")));
    EXPECT_THAT(print_spec(spec), Not(HasSubstr("horse")));

    // The part behind the CD's own bytes is an archive by itself.
    const std::filesystem::path part = m_folder.path() / "part.cpio";
    std::ofstream(part, std::ios::binary) << read_text(ram_disk).substr(8);
    const auto files = unpack(part);
    ASSERT_EQ(files.size(), 1U);
    EXPECT_EQ(files.at("preseed.cfg"), preseed_text(answers, "/dev/nvme0n1"));
}

TEST_F(UnattendedTest, cloud_image_gets_a_cd_with_its_answers) {
    MediumInfo medium;
    medium.kind = MediumKind::qcow2;
    VmSpec spec;
    const Bundle bundle = make_bundle(spec);
    const Answers answers = *answers_from(good_form());
    ASSERT_TRUE(prepare_unattended(bundle, spec, medium, answers));
    ASSERT_EQ(spec.cds.size(), 1U);
    EXPECT_EQ(spec.cds[0].file, "install/answers.iso");
    EXPECT_EQ(spec.boot, std::vector<std::string>{"disk0"}) << "nothing can be started from the answers";
    const std::filesystem::path iso = bundle.folder() / spec.cds[0].file;
    EXPECT_EQ(permissions(iso), 0600U);
    const auto source = FileSource::open(iso.string());
    ASSERT_TRUE(source);
    EXPECT_EQ(read_iso_volume(*source)->volume_id, "CIDATA");
    const auto files = unpack(iso);
    EXPECT_EQ(files.at("user-data"), cloud_user_data(answers));
    EXPECT_EQ(files.at("meta-data"), cloud_meta_data(answers, spec.id));
}

TEST_F(UnattendedTest, other_media_and_machines_are_refused) {
    MediumInfo medium;
    medium.kind = MediumKind::iso;
    EXPECT_EQ(unattended_kind(medium), UnattendedKind::none);
    medium.kind = MediumKind::linux_kernel;
    EXPECT_EQ(unattended_kind(medium), UnattendedKind::none);
    VmSpec spec;
    const Bundle bundle = make_bundle(spec);
    const Answers answers = *answers_from(good_form());
    EXPECT_FALSE(prepare_unattended(bundle, spec, medium, answers));
    EXPECT_FALSE(std::filesystem::exists(bundle.folder() / "install"));
    VmSpec secure = spec;
    secure.firmware = Firmware::uefi;
    secure.secure_boot = true;
    EXPECT_THAT(unattended_problem(secure, UnattendedKind::debian), HasSubstr("Secure Boot"));
    VmSpec without_disk = spec;
    without_disk.disks.clear();
    EXPECT_FALSE(prepare_unattended(bundle, without_disk, make_installer_cd(), answers));
}

TEST_F(UnattendedTest, cd_that_is_cut_off_is_refused) {
    const MediumInfo medium = make_installer_cd();
    constexpr uintmax_t k_descriptors_only = 20 * 2048;
    std::filesystem::resize_file(medium.path, k_descriptors_only);
    VmSpec spec;
    const Bundle bundle = make_bundle(spec);
    EXPECT_FALSE(prepare_unattended(bundle, spec, medium, *answers_from(good_form())));
}

}  // namespace
}  // namespace skep
