#include "identity/grant.hpp"

namespace ubf::identity {
namespace {

constexpr std::uint32_t magic = 0x55424701; // "UBG", version 1

} // namespace

std::optional<std::vector<std::uint8_t>> sign(const Grant& grant, const SigningKey& granter) {
    if (!is_name(grant.node, max_name) || !fits_format(grant.valid))
        return std::nullopt;
    std::vector<std::uint8_t> bytes(max_grant);
    Writer out(bytes);
    out.number(magic);
    out.number(static_cast<std::uint64_t>(grant.granter));
    out.number(value(grant.uid));
    out.number(grant.job);
    out.number(static_cast<std::uint64_t>(grant.valid.from.count()));
    out.number(static_cast<std::uint64_t>(grant.valid.until.count()));
    put_text(out, grant.node);
    out.bytes(granter.sign(std::span(bytes).first(out.written())));
    bytes.resize(out.written());
    return bytes;
}

Result<Grant, Fault> parse_grant(Bytes bytes) {
    if (bytes.size() < signature_size || bytes.size() > max_grant)
        return fail(Fault::malformed);
    Reader in(bytes.first(bytes.size() - signature_size));
    const auto begin = in.number<std::uint32_t>();
    Grant grant;
    grant.granter = Serial{in.number<std::uint64_t>()};
    grant.uid = Uid{in.number<std::uint32_t>()};
    grant.job = in.number<std::uint32_t>();
    const auto from = in.number<std::uint64_t>();
    const auto valid = validity_of(from, in.number<std::uint64_t>());
    auto node = get_name(in, max_name);
    if (!in.at_end() || begin != magic || !valid || !node)
        return fail(Fault::malformed);
    grant.valid = *valid;
    grant.node = std::move(*node);
    return grant;
}

Result<Grant, Fault> check_grant(Bytes bytes, const Certificate& granter, Seconds now) {
    auto grant = parse_grant(bytes);
    if (!grant)
        return grant;
    if (grant->granter != granter.serial || !granter.grants)
        return fail(Fault::no_granter);
    if (const auto fault = granter.valid.fault(now))
        return fail(*fault);
    if (!is_signed_by(*granter.grants, bytes.first(bytes.size() - signature_size),
                      bytes.last(signature_size)))
        return fail(Fault::forged);
    return grant;
}

} // namespace ubf::identity
