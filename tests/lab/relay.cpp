// The wire between TUN devices: a packet sent by one device is received by another.
//
//   relay FD[=ADDRESS[,ADDRESS...]]...
//
// FD: the inherited descriptor of a TUN device without packet information (IFF_NO_PI), which
// carries whole IP packets. ADDRESS: IPv4 or IPv6 addresses of that device. A packet goes to the
// device with its destination, and to all others if no device has it, as on a hub. Prints "ready",
// and runs until it is killed or a device is gone.
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <exception>
#include <iostream>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

using Bytes = std::span<const std::uint8_t>;
using Address = std::array<std::uint8_t, 17>; // the version of IP, then the address

struct Wire {
    std::vector<int> devices;
    std::map<Address, int> owners;
};

Address address_of(std::uint8_t version, Bytes bytes) {
    Address address{version};
    std::copy(bytes.begin(), bytes.end(), address.begin() + 1);
    return address;
}

Address address_of(const std::string& text) {
    std::array<std::uint8_t, 16> bytes{};
    if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1)
        return address_of(4, Bytes(bytes).first(4));
    if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1)
        return address_of(6, bytes);
    throw std::invalid_argument("'" + text + "' is not an address");
}

Wire wire_of(std::span<char*> arguments) {
    Wire wire;
    for (const std::string_view argument : arguments) {
        int device = 0;
        const char* const end = argument.data() + argument.size();
        auto [rest, error] = std::from_chars(argument.data(), end, device);
        if (error != std::errc{} || (rest != end && *rest != '='))
            throw std::invalid_argument("'" + std::string(argument) + "' is not FD=ADDRESS,...");
        wire.devices.push_back(device);
        while (rest != end) {
            const auto* const comma = std::find(++rest, end, ',');
            wire.owners[address_of(std::string(rest, comma))] = device;
            rest = comma;
        }
    }
    return wire;
}

// The destination of an IP packet. For other packets all zeros, which no device has.
Address destination_of(Bytes packet) {
    const auto version = static_cast<std::uint8_t>(packet.empty() ? 0 : packet[0] >> 4);
    if (version == 4 && packet.size() >= 20)
        return address_of(version, packet.subspan(16, 4));
    if (version == 6 && packet.size() >= 40)
        return address_of(version, packet.subspan(24, 16));
    return {};
}

// Errors are ignored: a device may be down, or the kernel may refuse a packet.
void send(int device, Bytes packet) {
    [[maybe_unused]] const auto sent = ::write(device, packet.data(), packet.size());
}

// Each read waits for one packet, and each write delivers one, so a thread for each device is
// enough.
void carry_from(int device, const Wire& wire) {
    std::array<std::uint8_t, 65536> buffer{};
    while (true) {
        const auto length = ::read(device, buffer.data(), buffer.size());
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0) {
            std::cerr << "relay: descriptor " << device << ": " << std::strerror(errno) << '\n';
            std::_Exit(1);
        }
        const Bytes packet(buffer.data(), static_cast<std::size_t>(length));
        const auto owner = wire.owners.find(destination_of(packet));
        for (const int other : wire.devices) {
            if (other != device && (owner == wire.owners.end() || owner->second == other))
                send(other, packet);
        }
    }
}

} // namespace

int main(int argc, char** argv) try {
    const auto wire = wire_of(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
    if (wire.devices.size() < 2)
        throw std::invalid_argument("a wire takes two devices");
    std::vector<std::thread> threads;
    for (const int device : wire.devices)
        threads.emplace_back(carry_from, device, std::cref(wire));
    std::cout << "ready" << std::endl;
    for (auto& thread : threads)
        thread.join();
} catch (const std::exception& error) {
    std::cerr << "relay: " << error.what() << '\n';
    return 1;
}
