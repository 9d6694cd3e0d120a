// SPDX-License-Identifier: GPL-3.0-or-later
// What CPUID offers runs, and nothing else does, whatever the host could run.
#include <gtest/gtest.h>

#include "tests/vmm/interp/system_bench.hpp"
#include "vmm/base/bits.hpp"
#include "vmm/x86/cpuid.hpp"

namespace skep::test {
namespace {

enum class Answer { eax, ebx, ecx };

struct Offer {
    const char* name;
    uint32_t leaf;
    uint32_t subleaf;
    Answer answer;
    unsigned feature_bit;
    std::vector<uint8_t> code;
};

const std::vector<Offer>& offers() {
    static const std::vector<Offer> all{
        {"pclmulqdq", 1, 0, Answer::ecx, 1, {0x66, 0x0f, 0x3a, 0x44, 0xc1, 0x00}},
        {"ssse3_pshufb", 1, 0, Answer::ecx, 9, {0x66, 0x0f, 0x38, 0x00, 0xc1}},
        {"fma_vfmadd132ps", 1, 0, Answer::ecx, 12, {0xc4, 0xe2, 0x71, 0x98, 0xc2}},
        {"sse41_pmovzxbw", 1, 0, Answer::ecx, 19, {0x66, 0x0f, 0x38, 0x30, 0xc1}},
        {"sse42_pcmpgtq", 1, 0, Answer::ecx, 20, {0x66, 0x0f, 0x38, 0x37, 0xc1}},
        {"sse42_crc32", 1, 0, Answer::ecx, 20, {0xf2, 0x0f, 0x38, 0xf0, 0xc0}},
        {"movbe", 1, 0, Answer::ecx, 22, {0x0f, 0x38, 0xf0, 0x00}},
        {"popcnt", 1, 0, Answer::ecx, 23, {0xf3, 0x0f, 0xb8, 0xc0}},
        {"aesenc", 1, 0, Answer::ecx, 25, {0x66, 0x0f, 0x38, 0xdc, 0xc1}},
        {"avx_vaddps", 1, 0, Answer::ecx, 28, {0xc5, 0xf0, 0x58, 0xc2}},
        {"f16c_vcvtph2ps", 1, 0, Answer::ecx, 29, {0xc4, 0xe2, 0x79, 0x13, 0xc1}},
        {"rdrand", 1, 0, Answer::ecx, 30, {0x0f, 0xc7, 0xf0}},
        {"bmi1_andn", 7, 0, Answer::ebx, 3, {0xc4, 0xe2, 0x78, 0xf2, 0xc0}},
        {"avx2_vpaddd", 7, 0, Answer::ebx, 5, {0xc5, 0xf5, 0xfe, 0xc2}},
        {"bmi2_mulx", 7, 0, Answer::ebx, 8, {0xc4, 0xe2, 0x7b, 0xf6, 0xc0}},
        {"avx512_vaddps", 7, 0, Answer::ebx, 16, {0x62, 0xf1, 0x74, 0x48, 0x58, 0xc2}},
        {"rdseed", 7, 0, Answer::ebx, 18, {0x0f, 0xc7, 0xf8}},
        {"adcx", 7, 0, Answer::ebx, 19, {0x66, 0x0f, 0x38, 0xf6, 0xc0}},
        {"clflushopt", 7, 0, Answer::ebx, 23, {0x66, 0x0f, 0xae, 0x38}},
        {"clwb", 7, 0, Answer::ebx, 24, {0x66, 0x0f, 0xae, 0x30}},
        {"sha1nexte", 7, 0, Answer::ebx, 29, {0x0f, 0x38, 0xc8, 0xc1}},
        {"gfni_gf2p8mulb", 7, 0, Answer::ecx, 8, {0x66, 0x0f, 0x38, 0xcf, 0xc1}},
        {"vaesenc_of_256_bits", 7, 0, Answer::ecx, 9, {0xc4, 0xe2, 0x75, 0xdc, 0xc2}},
        {"vpclmulqdq_of_256_bits", 7, 0, Answer::ecx, 10, {0xc4, 0xe3, 0x75, 0x44, 0xc2, 0x00}},
        {"avx_vnni_vpdpbusd", 7, 1, Answer::eax, 4, {0xc4, 0xe2, 0x71, 0x50, 0xc2}},
        {"sse4a_extrq", 0x8000'0001, 0, Answer::ecx, 6, {0x66, 0x0f, 0x79, 0xc1}},
    };
    return all;
}

class OfferTest : public testing::TestWithParam<size_t> {};

TEST_P(OfferTest, runs_exactly_when_cpuid_says_so) {
    const Offer& offer = offers()[GetParam()];
    SystemBench bench(CpuMode::long64);
    constexpr uint64_t k_osfxsr_osxmmexcpt_osxsave = 0x4'0600;
    bench.state.cr4 |= k_osfxsr_osxmmexcpt_osxsave;
    bench.state.xcr0 = x86::supported_xcr0();
    const x86::CpuidResult result =
        x86::cpuid({.leaf = offer.leaf, .subleaf = offer.subleaf, .cr4 = bench.state.cr4, .xcr0 = bench.state.xcr0});
    const uint32_t word = offer.answer == Answer::eax ? result.eax : offer.answer == Answer::ebx ? result.ebx : result.ecx;
    bench.run(offer.code);
    const bool ran = bench.state.rip == SystemBench::k_code + offer.code.size() + 1;
    EXPECT_EQ(ran, (word >> offer.feature_bit & 1) != 0);
    EXPECT_EQ(!ran, bench.halted_in(6)) << "not there is #UD";
}

INSTANTIATE_TEST_SUITE_P(Instructions, OfferTest, testing::Range<size_t>(0, offers().size()),
                         [](const testing::TestParamInfo<size_t>& info) { return std::string(offers()[info.param].name); });

TEST(Features, avx_needs_xcr0_whatever_cpuid_says) {
    SystemBench bench(CpuMode::long64);
    bench.state.cr4 |= 0x4'0600;
    bench.state.xcr0 = 3;
    bench.run({0xc4, 0xe2, 0x71, 0x98, 0xc2});  // vfmadd132ps
    EXPECT_TRUE(bench.halted_in(6));
}

}  // namespace
}  // namespace skep::test
