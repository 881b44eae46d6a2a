// Ownership of libnftnl's objects.
#pragma once

#include <memory>
#include <new>

namespace ubf::nft {

template<typename T, void (*release)(const T*)>
struct Release {
    void operator()(const T* object) const { release(object); }
};

template<typename T, void (*release)(const T*)>
using NftnlPtr = std::unique_ptr<T, Release<T, release>>;

// libnftnl answers nullptr when there is no memory.
template<typename T>
T* checked(T* object) {
    if (object == nullptr)
        throw std::bad_alloc();
    return object;
}

} // namespace ubf::nft
