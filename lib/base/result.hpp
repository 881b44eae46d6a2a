// Errors as values, for everything that runs while a packet waits. Start-up throws instead.
#pragma once

#include <tl/expected.hpp>

namespace ubf {

template<typename T, typename E>
using Result = tl::expected<T, E>;

template<typename E>
auto fail(E&& error) {
    return tl::make_unexpected(std::forward<E>(error));
}

} // namespace ubf
