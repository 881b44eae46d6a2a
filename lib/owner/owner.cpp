#include "owner/owner.hpp"

#include <algorithm>

namespace ubf {

std::string_view to_string(OwnerKind kind) {
    switch (kind) {
    case OwnerKind::unknown:
        return "unknown";
    case OwnerKind::user:
        return "user";
    case OwnerKind::kernel:
        return "kernel";
    case OwnerKind::outside:
        return "outside";
    case OwnerKind::unready:
        return "unready";
    case OwnerKind::unlisted:
        return "unlisted";
    case OwnerKind::shared:
        return "shared";
    case OwnerKind::translated:
        return "translated";
    }
    return "?";
}

std::string_view to_string(Method method) {
    switch (method) {
    case Method::socket:
        return "socket";
    case Method::cookie_cache:
        return "cookie-cache";
    case Method::recent:
        return "recent";
    case Method::uid_processes:
        return "uid-processes";
    case Method::all_processes:
        return "all-processes";
    case Method::user_database:
        return "user-database";
    case Method::rdma_connector:
        return "rdma-connector";
    case Method::rdma_listener:
        return "rdma-listener";
    case Method::kernel_record:
        return "kernel-record";
    case Method::portal:
        return "portal";
    case Method::count_:
        break;
    }
    return "?";
}

void carry(Owner& owner, const Label& label) {
    auto& known = owner.credentials;
    if (known && std::ranges::find(known->labels, label) == known->labels.end())
        known->labels.push_back(label);
}

} // namespace ubf
