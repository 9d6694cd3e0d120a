// SPDX-License-Identifier: GPL-3.0-or-later
#include "vmm/unattended/answer_files.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include <memory>
#include <span>

#include "vmm/base/bits.hpp"
#include "vmm/base/fd.hpp"

namespace skep {
namespace {

// Debian's installer takes the rest of the line as it is, YAML does not: JSON's strings are YAML's, too.
std::string quoted(const std::string& text) {
    std::string result = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            result += '\\';
        }
        result += c;
    }
    return result + '"';
}

// With the locale's name as its first argument. cloud-init's own `locale` wants Ubuntu's locale-gen: on Debian's images it fails for
// every locale that is not there yet (its issue 4195). Where it cannot be made, the image keeps its own.
constexpr std::string_view k_set_locale =
    "      is_there() { locale -a | tr -d - | grep -Fiqx \"$(echo \"$1\" | tr -d -)\"; }\n"
    "      if ! is_there \"$1\" && [ -f /etc/locale.gen ]; then\n"
    "        echo \"$1 ${1#*.}\" >> /etc/locale.gen\n"
    "        locale-gen\n"
    "      fi\n"
    "      if is_there \"$1\"; then\n"
    "        update-locale LANG=\"$1\" || localectl set-locale LANG=\"$1\"\n"
    "      fi\n";

void append(std::vector<std::byte>& archive, std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    archive.insert(archive.end(), bytes.begin(), bytes.end());
}

void pad(std::vector<std::byte>& archive) {
    archive.resize(align_up(archive.size(), k_ram_disk_alignment));
}

void append_entry(std::vector<std::byte>& archive, unsigned number, const std::string& name, unsigned mode, std::string_view content) {
    append(archive, fmt::format("070701{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}", number, mode, 0, 0,
                                1, 0, content.size(), 0, 0, 0, 0, name.size() + 1, 0));
    append(archive, name);
    archive.push_back(std::byte{0});
    pad(archive);
    append(archive, content);
    pad(archive);
}

Status archive_failed(archive* writer, const std::filesystem::path& path) {
    const char* why = archive_error_string(writer);
    return fail(ErrorKind::io, "Writing '{}' failed: {}.", path.string(), why != nullptr ? why : "unknown reason");
}

Status write_files(archive* writer, const std::filesystem::path& path, const std::string& volume_id, const NamedFiles& files, int fd) {
    if (archive_write_set_format_iso9660(writer) != ARCHIVE_OK ||
        archive_write_set_format_option(writer, "iso9660", "volume-id", volume_id.c_str()) != ARCHIVE_OK ||
        archive_write_open_fd(writer, fd) != ARCHIVE_OK) {
        return archive_failed(writer, path);
    }
    for (const auto& [name, content] : files) {
        const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), &archive_entry_free);
        archive_entry_set_pathname(entry.get(), name.c_str());
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), 0400);
        archive_entry_set_size(entry.get(), static_cast<int64_t>(content.size()));
        if (archive_write_header(writer, entry.get()) != ARCHIVE_OK ||
            archive_write_data(writer, content.data(), content.size()) != static_cast<la_ssize_t>(content.size())) {
            return archive_failed(writer, path);
        }
    }
    return archive_write_close(writer) == ARCHIVE_OK ? Status() : archive_failed(writer, path);
}

}  // namespace

std::string preseed_text(const Answers& answers, const std::string& disk) {
    const std::string& full_name = answers.full_name.empty() ? answers.user : answers.full_name;
    std::string text = "#_preseed_V1\n";
    const auto say = [&text](std::string_view owner, std::string_view question, std::string_view type, std::string_view value) {
        text += fmt::format("{} {} {} {}\n", owner, question, type, value);
    };
    const auto installer = [&say](std::string_view question, std::string_view type, std::string_view value) {
        say("d-i", question, type, value);
    };
    installer("debian-installer/locale", "string", answers.region.locale);
    installer("keyboard-configuration/xkb-keymap", "select", answers.region.keyboard);
    installer("netcfg/choose_interface", "select", "auto");
    installer("netcfg/hostname", "string", answers.host_name);
    installer("netcfg/get_hostname", "string", answers.host_name);
    installer("netcfg/get_domain", "string", "");
    installer("mirror/protocol", "select", "http");
    installer("mirror/country", "string", "manual");
    installer("mirror/http/hostname", "string", "ftp.debian.org");
    installer("mirror/http/directory", "string", "/debian");
    installer("mirror/http/proxy", "string", "");
    installer("passwd/root-login", "boolean", "false");
    installer("passwd/user-fullname", "string", full_name);
    installer("passwd/username", "string", answers.user);
    installer("passwd/user-password-crypted", "password", answers.password_hash);
    installer("clock-setup/utc", "boolean", "true");
    installer("time/zone", "string", answers.region.time_zone);
    installer("partman-auto/disk", "string", disk);
    installer("partman-auto/method", "string", "regular");
    installer("partman-auto/choose_recipe", "select", "atomic");
    installer("partman-partitioning/confirm_write_new_label", "boolean", "true");
    installer("partman/choose_partition", "select", "finish");
    installer("partman/confirm", "boolean", "true");
    installer("partman/confirm_nooverwrite", "boolean", "true");
    installer("partman-efi/non_efi_system", "boolean", "true");
    installer("apt-setup/cdrom/set-first", "boolean", "false");
    installer("pkgsel/upgrade", "select", "safe-upgrade");
    installer("grub-installer/only_debian", "boolean", "true");
    installer("grub-installer/with_other_os", "boolean", "true");
    installer("grub-installer/bootdev", "string", disk);
    installer("cdrom-detect/eject", "boolean", "false");
    installer("finish-install/reboot_in_progress", "note", "");
    say("tasksel", "tasksel/first", "multiselect", "standard");
    say("popularity-contest", "popularity-contest/participate", "boolean", "false");
    return text;
}

std::string cloud_user_data(const Answers& answers) {
    return fmt::format(
        "#cloud-config\nhostname: {}\nmanage_etc_hosts: true\nlocale: false\ntimezone: {}\nusers:\n  - name: {}\n    gecos: {}\n"
        "    groups: [adm, sudo]\n    sudo: \"ALL=(ALL) ALL\"\n    shell: /bin/bash\n    lock_passwd: false\n    hashed_passwd: {}\n"
        "ssh_pwauth: true\nruncmd:\n  - - sh\n    - -c\n    - |\n{}    - set-locale\n    - {}\n",
        quoted(answers.host_name), quoted(answers.region.time_zone), quoted(answers.user), quoted(answers.full_name),
        quoted(answers.password_hash), k_set_locale, quoted(answers.region.locale));
}

std::string cloud_meta_data(const Answers& answers, const std::string& instance) {
    return fmt::format("instance-id: {}\nlocal-hostname: {}\n", quoted(instance), quoted(answers.host_name));
}

std::vector<std::byte> ram_disk_part(const NamedFiles& files) {
    constexpr unsigned k_regular_owner_only = 0100600;
    std::vector<std::byte> archive;
    unsigned number = 1;
    for (const auto& [name, content] : files) {
        append_entry(archive, number++, name, k_regular_owner_only, content);
    }
    append_entry(archive, 0, "TRAILER!!!", 0, {});
    return archive;
}

Status write_iso(const std::filesystem::path& path, const std::string& volume_id, const NamedFiles& files) {
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file.valid()) {
        return fail_errno(errno, fmt::format("Creating '{}'", path.string()));
    }
    const std::unique_ptr<archive, decltype(&archive_write_free)> writer(archive_write_new(), &archive_write_free);
    Status written = write_files(writer.get(), path, volume_id, files, file.get());
    if (!written) {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
    }
    return written;
}

}  // namespace skep
