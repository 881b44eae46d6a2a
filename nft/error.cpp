#include "nft/error.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <system_error>

namespace ubf::nft {
namespace {

std::string reason(int error, const std::string& modules) {
    switch (error) {
    case EPERM:
        return "CAP_NET_ADMIN is missing; run as root or give the unit the capability";
    case ENOENT: // nf_tables doesn't know an expression
    case EPROTONOSUPPORT:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return fmt::format("the kernel lacks one of {}; load them with modprobe", modules);
    case EEXIST:
    case EBUSY:
        return "something else of that name is there; remove it with 'nft delete table inet ubf'";
    default:
        return std::generic_category().message(error);
    }
}

} // namespace

NftError explained(const std::string& what, int error, const std::string& modules) {
    return NftError(fmt::format("{}: {}", what, reason(error, modules)), error);
}

} // namespace ubf::nft
