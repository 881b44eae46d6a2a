#include "arguments.hpp"
#include "command.hpp"
#include "ident/key.hpp"

#include <fmt/format.h>
#include <iostream>

namespace ubf::ctl {

int keygen(const Globals&, const Arguments& arguments) {
    const auto file = file_argument("keygen", arguments, default_key);
    generate_key(file);
    std::cout << fmt::format("{}: a new key; copy it to every node, mode 0600\n", file.string());
    return 0;
}

} // namespace ubf::ctl
