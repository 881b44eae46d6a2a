// The version that was built.
#pragma once

#include <string>
#include <string_view>

namespace ubf {

// The release, as CHANGELOG.md has it, like "0.2.0".
std::string_view release();

// The answer to --version, without a line's end: "ubfd 0.2.0, commit 0123456789ab". The commit is
// left out if the sources came from elsewhere than git.
std::string version_of(std::string_view program);

} // namespace ubf
