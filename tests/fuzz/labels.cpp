// The sources of labels (/proc/PID/cgroup, /proc/PID/attr/current), and labels in text form.
#include "fuzzer.hpp"
#include "label/label.hpp"
#include "label/selinux.hpp"
#include "label/slurm.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = ubf::fuzz::text(data, size);
    static_cast<void>(ubf::slurm_place(text));
    if (const auto level = ubf::level_of_context(text)) {
        // A level's label reads back as the same label.
        if (const auto label = level->label())
            ubf::fuzz::require(ubf::parse_label(to_string(*label)) == label);
    }
    if (const auto label = ubf::parse_label(text))
        ubf::fuzz::require(ubf::is_label_name(label->name));
    return 0;
}
