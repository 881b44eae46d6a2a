#include "label/label.hpp"

namespace ubf {

std::string_view to_string(LabelOrigin origin) {
    switch (origin) {
    case LabelOrigin::slurm:
        return "slurm";
    case LabelOrigin::selinux:
        return "selinux";
    case LabelOrigin::pkey:
        return "pkey";
    case LabelOrigin::map:
        return "map";
    }
    return "?";
}

std::string to_string(const Label& label) {
    return std::string(to_string(label.origin)) + ':' + label.name;
}

} // namespace ubf
