#include "netlink/answer.hpp"

#include <cstring>

namespace ubf::netlink {

Result<Bytes, int> answer(Bytes message, std::uint32_t sequence, std::uint16_t type) {
    const auto* header = next_message(message);
    if (header == nullptr)
        return fail(int{EBADMSG});
    if (header->nlmsg_seq != sequence)
        return fail(int{ENOMSG});
    const auto bytes = payload(header);
    if (header->nlmsg_type == type)
        return bytes;
    nlmsgerr error{};
    if (header->nlmsg_type != NLMSG_ERROR || bytes.size() < sizeof error)
        return fail(int{EBADMSG});
    std::memcpy(&error, bytes.data(), sizeof error);
    return fail(error.error < 0 && error.error > -4096 ? -error.error : int{EBADMSG});
}

} // namespace ubf::netlink
