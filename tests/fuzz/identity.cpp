// Certificates, rosters, grants and requests, in binary. The first byte selects which.
#include "fuzzer.hpp"
#include "identity/grant.hpp"
#include "identity/request.hpp"
#include "identity/roster.hpp"

namespace {

using namespace ubf;
using namespace ubf::identity;

const SigningKey& signing_key() {
    static const SigningKey key{Secret{KeyBytes{}}};
    return key;
}

// A certificate that is accepted has one form.
void certificate(Bytes bytes) {
    const auto read = parse_certificate(bytes);
    if (!read)
        return;
    const auto again = sign(*read, signing_key());
    fuzz::require(again && again->size() == bytes.size());
    constexpr std::size_t authority = 8; // which, and the signature, may differ
    for (std::size_t i = 0; i < bytes.size() - signature_size; ++i)
        fuzz::require((i >= authority && i < authority + 4) || bytes[i] == (*again)[i]);
}

void grant(Bytes bytes) {
    const auto read = parse_grant(bytes);
    if (!read)
        return;
    const auto again = sign(*read, signing_key());
    fuzz::require(again && again->size() == bytes.size());
    fuzz::require(std::equal(again->begin(), again->end() - signature_size, bytes.begin()));
}

// A fuzzer can't sign, so the bytes are signed here.
void roster(Bytes bytes) {
    std::vector<std::uint8_t> all(bytes.begin(), bytes.end());
    if (all.size() >= 8) {
        Writer out(std::span(all).subspan(4, 4));
        out.number(static_cast<std::uint32_t>(id_of(signing_key().verify_key())));
    }
    const auto signature = signing_key().sign(all);
    all.insert(all.end(), signature.begin(), signature.end());
    const auto read = Roster::read(all, {signing_key().verify_key()});
    if (!read)
        return;
    for (const auto& each : read->certificates())
        fuzz::require(read->is_revoked(each.serial) ||
                      !read->at(each.addresses.front().first()).empty());
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0)
        return 0;
    const Bytes bytes(data + 1, size - 1);
    switch (*data) {
    case 'c':
        certificate(bytes);
        break;
    case 'g':
        grant(bytes);
        break;
    case 'r':
        roster(bytes);
        break;
    default:
        static_cast<void>(check_request(bytes));
    }
    return 0;
}
