// The part of the service about inquiries, which only the first thread does.
#include "daemon/ident/service.hpp"

#include <sodium.h>
#include <utility>

namespace ubf::ident {

void Service::inquire(const Flow& flow, std::optional<Uid> as, Milliseconds patience,
                      Inquiries::Heard heard) {
    thread_.post([this, flow, as, patience, heard = std::move(heard)] {
        const auto now = Clock::now();
        Inquiry inquiry{{}, flow, as};
        randombytes_buf(&inquiry.nonce, sizeof inquiry.nonce);
        shared_.counters.ident.inquiries.asked.add();
        firsts_.inquiries.ask(
            {inquiry, terms_->path(flow.source.address, flow.destination.address)}, now + patience,
            heard, now);
        send_inquiries(now);
    });
}

void Service::send_inquiries(TimePoint now) {
    for (const auto& [inquiry, path] : firsts_.inquiries.due(now))
        send(Sender{path.reversed(), 0, Channel::service}, std::vector<Inquiry>{inquiry});
}

// A peer is told only of flows from its address to ours.
void Service::handle(const std::vector<Inquiry>& inquiries, const Sender& sender) {
    auto& counters = shared_.counters.ident;
    const auto now = Clock::now();
    for (const auto& inquiry : inquiries) {
        const auto& source = inquiry.flow.source.address;
        const auto& destination = inquiry.flow.destination.address;
        if (!terms_->came_between(sender.path, source, destination) ||
            sockets_.interface_of(source) || !sockets_.interface_of(destination)) {
            counters.rejections.add(Rejection::not_theirs);
            continue;
        }
        const auto& peer = sender.path.from.address;
        if (!on_.inquiry ||
            firsts_.inquiries.begin(inquiry.nonce, peer, now) == Inquiries::Admission::refused) {
            counters.inquiries.refused.add();
            continue;
        }
        on_.inquiry(inquiry, [this, nonce = inquiry.nonce, sender](const Decision& decided) {
            thread_.post([this, nonce, sender, decision = decided]() mutable {
                firsts_.inquiries.end(nonce, sender.path.from.address);
                shared_.counters.ident.inquiries.answered.add();
                decision.nonce = nonce;
                send(sender, std::vector<Decision>{decision});
            });
        });
    }
}

void Service::handle(const std::vector<Decision>& decisions, const Sender& sender) {
    for (const auto& decision : decisions)
        if (!firsts_.inquiries.answered(decision, sender.path))
            shared_.counters.ident.rejections.add(Rejection::unasked);
}

} // namespace ubf::ident
