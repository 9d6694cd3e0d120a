// SPDX-License-Identifier: GPL-3.0-or-later
// The report of --jit-stats and the file for perf.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "tests/vmm/jit/two_engines.hpp"

namespace skep::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string report_of(const Bytes& body, uint32_t rounds, bool perf_map = false) {
    std::string report;
    {
        jit::JitOptions options{.report = [&](const std::string& text) { report += text; },
                                .perf_map = perf_map,
                                .tuning = {.threshold = k_soon}};
        CpuHarness cpu(std::make_unique<jit::JitHypervisor>(std::move(options)));
        fill_state(cpu, 1);
        cpu.state.gpr[k_rbx] = CpuHarness::k_data + 64;
        cpu.write_value<uint64_t>(0x20000, rounds);
        cpu.run(loop_of(body));
        EXPECT_EQ(report, "") << "before the processor goes";
    }
    return report;
}

TEST(JitProfile, report_counts_what_the_interpreter_ran) {
    const std::string report = report_of({0xd7, 0x48, 0xff, 0xc2}, 5000);  // xlat; inc rdx
    EXPECT_THAT(report, HasSubstr("translated code of processor 0"));
    EXPECT_THAT(report, HasSubstr("run by the interpreter, by instruction"));
    EXPECT_THAT(report, ::testing::ContainsRegex(" (49[0-9][0-9]|5000) xlat\n"));
    EXPECT_THAT(report, Not(HasSubstr(" inc\n")));
    EXPECT_THAT(report, HasSubstr(" 0 pages dropped, 0 times everything"));
    EXPECT_THAT(report, Not(HasSubstr("regions: 0 ")));
}

// STI's shadow goes into what follows: in another block, and so perhaps another region, it is the interpreter's.
TEST(JitProfile, sti_at_the_end_of_a_block_is_the_interpreters) {
    // cli; sti; t: inc rdx; test dl, 1; jnz t
    const std::string parted = report_of({0xfa, 0xfb, 0x48, 0xff, 0xc2, 0xf6, 0xc2, 0x01, 0x75, 0xf8}, 5000);
    EXPECT_THAT(parted, ::testing::ContainsRegex(" (49[0-9][0-9]|5000) sti\n"));
    // cli; sti; nop
    EXPECT_THAT(report_of({0xfa, 0xfb, 0x90}, 5000), Not(HasSubstr(" sti\n")));
}

// A million rounds take more than a sample's time; the kernel's clock decides how many come.
TEST(JitProfile, report_says_where_the_time_went) {
    const std::string report = report_of({0x31, 0xd2, 0x48, 0xf7, 0xf3}, 3'000'000);  // xor edx, edx; div rbx
    EXPECT_THAT(report, HasSubstr("processor time, "));
    EXPECT_THAT(report, HasSubstr("samples by region: "));
    EXPECT_THAT(report, ::testing::ContainsRegex("lower half [1-9][0-9.]+ %"));
    EXPECT_THAT(report, HasSubstr("upper half 0.0 %"));
}

TEST(JitProfile, without_a_profile_nothing_is_reported_or_sampled) {
    Engines engines;
    fill_state(engines.translated, 1);
    engines.translated.run(loop_of({0x48, 0xff, 0xc2}));
    EXPECT_EQ(engines.stats().unknown_targets, 0U);
}

TEST(JitProfile, perf_map_names_every_region) {
    const std::string path = fmt::format("/tmp/perf-{}.map", ::getpid());
    report_of({0x48, 0xff, 0xc2}, 5000, true);
    std::ifstream file(path);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    EXPECT_THAT(text, HasSubstr(" skep thunks\n"));
    EXPECT_THAT(text, HasSubstr(" guest 1000\n"));
    ::unlink(path.c_str());
}

}  // namespace
}  // namespace skep::test
