// Fields that several entries of ident have. A reader that fails leaves its Reader failed, or
// returns nothing.
#pragma once

#include "base/buffer.hpp"
#include "flow/flow.hpp"
#include "policy/verdict.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ubf::ident {

// Protocol, a zero byte, both ports, both addresses.
void put(Writer& out, const Flow& flow);
std::optional<Flow> get_flow(Reader& in);

// Behind a byte with its length.
void put_text(Writer& out, std::string_view text);
std::string get_text(Reader& in, std::size_t most);
std::optional<Reason> get_reason(Reader& in); // its name

} // namespace ubf::ident
