// SPDX-License-Identifier: GPL-3.0-or-later
// vm.yaml: whatever parses must print and parse to the same again.
#include <cstdint>
#include <cstdlib>

#include "vmm/spec/spec_yaml.hpp"
#include "vmm/spec/validate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace skep;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto spec = parse_spec(text);
    if (!spec) {
        if (spec.error().message.empty()) {
            std::abort();  // host-invariant: every refusal has its sentence
        }
        return 0;
    }
    (void)validate(*spec, {});
    (void)locate_field(text, "memory");
    const auto again = parse_spec(print_spec(*spec));
    if (!again || !(*again == *spec)) {
        std::abort();  // host-invariant
    }
    return 0;
}
