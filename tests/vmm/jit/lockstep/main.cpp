// SPDX-License-Identifier: GPL-3.0-or-later
// lockstep [--reference ENGINE] [--other ENGINE] [--seed S] [--blocks N] [--case SEED [--interrupted --repeat N]] [--print]:
// random programs on two engines; stops at the first difference and prints it, made small.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <chrono>
#include <fstream>

#include "tests/vmm/jit/lockstep/assembler.hpp"
#include "tests/vmm/jit/lockstep/engines.hpp"
#include "tests/vmm/jit/lockstep/lockstep.hpp"

namespace {

using namespace skep::lockstep;

struct Options {
    std::string reference = "interp", other = "jit";
    uint64_t seed = 1, blocks = 100'000, one_case = 0;
    std::string corpus;
    unsigned corpus_count = 24, repeat = 1;
    unsigned most_reports = 1;
    bool print = false, interrupted = false, verbose = false, tables = false;
};

int run_one(Lockstep& lockstep, const Options& options) {
    if (options.print) {
        fmt::print("{}", Lockstep::describe(lockstep.make(options.one_case)));
    }
    for (unsigned n = 0; n < options.repeat; ++n) {
        const uint64_t seed = options.one_case;
        const std::string difference = options.interrupted ? lockstep.run_seed_interrupted(seed) : lockstep.run_seed(seed);
        if (!difference.empty()) {
            fmt::print("run {}:\n{}\n", n + 1, options.interrupted ? difference : lockstep.report(seed, difference));
            return 1;
        }
    }
    fmt::print("equal\n");
    return 0;
}

// Programs as inputs of tests/fuzz/translator_fuzz.cpp.
int write_corpus(Lockstep& lockstep, const Options& options) {
    for (unsigned n = 0; n < options.corpus_count; ++n) {
        const Case one = lockstep.make(case_seed(options.seed, n));
        const auto code = assemble(one.program, one.window() + k_code, 4000);
        if (!code) {
            continue;
        }
        unsigned base = 0;
        while (k_bases[base] != one.base) {
            ++base;
        }
        const unsigned mode = (one.program.code64 ? 1U : 0U) | (one.user ? 2U : 0U) | base << 2 | (one.own_stack ? 0x10U : 0U);
        std::ofstream file(fmt::format("{}/program-{}", options.corpus, n), std::ios::binary);
        file.put(static_cast<char>(mode)).put(static_cast<char>(3)).put(static_cast<char>(n)).put(0);
        file.write(reinterpret_cast<const char*>(code->bytes.data()), static_cast<std::streamsize>(code->bytes.size()));
    }
    return 0;
}

void print_totals(const Totals& totals, const Options& options, double seconds, unsigned reports) {
    if (options.interrupted) {
        fmt::print("{} interrupts; ", totals.interruptions);
    }
    fmt::print("{} blocks in {} cases, {} events, {} shutdowns, {} endless, {} too long, {} flags of products; "
               "{:.1f} s, {:.0f} blocks/s; {} differences\n",
               totals.blocks, totals.cases, totals.events, totals.shutdowns, totals.endless, totals.unassembled, totals.products,
               seconds, static_cast<double>(totals.blocks) / seconds, reports);
    std::fflush(stdout);
}

int run_many(Lockstep& lockstep, const Options& options) {
    constexpr uint64_t k_progress = 250'000;  // blocks between two lines
    const auto start = std::chrono::steady_clock::now();
    const auto seconds = [start] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
    const Totals& totals = lockstep.totals();
    unsigned reports = 0;
    uint64_t next_progress = k_progress;
    for (uint64_t n = 0; totals.blocks < options.blocks && reports < options.most_reports; ++n) {
        const uint64_t seed = case_seed(options.seed, n) & ~uint64_t{options.tables ? 3U : 0U};
        if (options.verbose) {
            fmt::print(stderr, "{}\n", seed);
        }
        const uint64_t endless = totals.endless;
        const std::string difference = options.interrupted ? lockstep.run_seed_interrupted(seed) : lockstep.run_seed(seed);
        if (options.verbose && totals.endless != endless) {
            fmt::print(stderr, "endless\n");
        }
        if (!difference.empty()) {
            fmt::print("{}\n", options.interrupted ? fmt::format("case {} interrupted:\n{}", seed, difference)
                                                  : lockstep.report(seed, difference));
            std::fflush(stdout);
            ++reports;
        }
        if (totals.blocks >= next_progress && totals.blocks < options.blocks) {
            print_totals(totals, options, seconds(), reports);
            next_progress += k_progress;
        }
    }
    print_totals(totals, options, seconds(), reports);
    if (options.print) {
        fmt::print("{} finished; events by vector:", totals.finished);
        for (unsigned vector = 0; vector < totals.vectors.size(); ++vector) {
            if (totals.vectors[vector] != 0) {
                fmt::print(" {}:{}", vector, totals.vectors[vector]);
            }
        }
        fmt::print("\n");
    }
    return reports == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Random programs on two engines in lock-step");
    app.add_option("--reference", options.reference, "engine that is right");
    app.add_option("--other", options.other, "engine to compare with it");
    app.add_option("--seed", options.seed, "of the run");
    app.add_option("--blocks", options.blocks, "basic blocks to run, rounds counted");
    app.add_option("--case", options.one_case, "only the case of this seed");
    app.add_option("--repeat", options.repeat, "how often to run that case: interrupts come by chance");
    app.add_option("--reports", options.most_reports, "differences to print before stopping");
    app.add_option("--write-corpus", options.corpus, "folder for seeds of the fuzzer");
    app.add_flag("--print", options.print, "print the case, or what the cases met");
    app.add_flag("--interrupted", options.interrupted, "interrupt the other engine at arbitrary moments");
    app.add_flag("--tables", options.tables, "only programs with loops that look into tables");
    app.add_flag("--verbose", options.verbose, "say the seed of each case before it runs");
    CLI11_PARSE(app, argc, argv);
    const auto reference = make_engine(options.reference), other = make_engine(options.other);
    const auto exact = make_engine(options.other, skep::jit::FlagsOfProducts::as_the_host);
    if (!reference || !other) {
        fmt::print(stderr, "no such engine\n");
        return 2;
    }
    Lockstep lockstep(*reference, *other, exact.get());
    if (!options.corpus.empty()) {
        return write_corpus(lockstep, options);
    }
    return options.one_case != 0 ? run_one(lockstep, options) : run_many(lockstep, options);
}
