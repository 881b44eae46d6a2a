// An exception by itself, as policy.allow has it: for `ubfctl allow`.
#pragma once

#include "base/result.hpp"
#include "policy/policy.hpp"

#include <string>

namespace ubf {

// With the errors of policy.allow. Names are looked up, which may take a while.
Result<Exception, std::string> parse_exception(const std::string& text);

// The same exception with uids for names: who reads it asks no user database. exception: of text.
std::string with_uids(const std::string& text, const Exception& exception);

} // namespace ubf
