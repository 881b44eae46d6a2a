#include "daemon/portal/http_server.hpp"

#include <algorithm>
#include <array>
#include <microhttpd.h>
#include <set>
#include <stdexcept>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

namespace ubf::portal {
namespace {

constexpr std::size_t most_in_head = 8192;
// libmicrohttpd refuses a head that does not fit here by itself (431).
constexpr std::size_t memory = 4 * most_in_head;
constexpr std::size_t most_in_body = 65536;
constexpr Clients::Limits limits{256, 768};
constexpr std::size_t most_standing = 256; // those beyond are closed at once
// Those that were told to go still count with libmicrohttpd.
constexpr unsigned most_connections = 2 * limits.in_all;
constexpr int most_at_once = 64;

int descriptor(MHD_Connection* connection) {
    const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == nullptr ? -1 : info->connect_fd;
}

bool has_long_head(MHD_Connection* connection) {
    const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return info == nullptr || info->header_size > most_in_head;
}

std::vector<Field> fields_of(MHD_Connection* connection) {
    std::vector<Field> fields;
    const auto add = [](void* to, MHD_ValueKind, const char* name, std::size_t name_length,
                        const char* value, std::size_t length) {
        static_cast<std::vector<Field>*>(to)->push_back(
            {{name, name_length},
             value == nullptr ? std::string_view() : std::string_view{value, length}});
        return MHD_YES;
    };
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, add, &fields);
    return fields;
}

struct Destroy {
    void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};

MHD_Result queue(MHD_Connection* connection, const Response& response) {
    const std::unique_ptr<MHD_Response, Destroy> made(MHD_create_response_from_buffer(
        response.body.size(), const_cast<char*>(response.body.data()), MHD_RESPMEM_MUST_COPY));
    if (!made)
        return MHD_NO;
    for (const auto& [name, value] : response.fields)
        if (MHD_add_response_header(made.get(), name.c_str(), value.c_str()) == MHD_NO)
            return MHD_NO; // never an answer without its reason
    return MHD_queue_response(connection, response.code, made.get());
}

Response not_found() {
    return {404, {{"Cache-Control", "no-store"}}, {}};
}

} // namespace

struct HttpServer::Callbacks {
    static void* begin(void* self, const char* uri, MHD_Connection*) {
        auto& server = *static_cast<HttpServer*>(self);
        const auto id = ++server.last_;
        auto& exchange = server.exchanges_[id];
        exchange = std::make_unique<Exchange>(Exchange{&server, id, uri});
        return exchange.get();
    }
    // Called with the head, with each piece of the body, and when all is there.
    static MHD_Result handle(void*, MHD_Connection* connection, const char*, const char*,
                             const char*, const char*, std::size_t* body, void** context) {
        auto* exchange = static_cast<Exchange*>(*context);
        if (exchange == nullptr)
            return MHD_NO;
        if (exchange->connection == nullptr) {
            exchange->connection = connection;
            return MHD_YES;
        }
        if (*body != 0) {
            exchange->body += *body;
            *body = 0;
            return exchange->body > most_in_body ? MHD_NO : MHD_YES;
        }
        return static_cast<MHD_Result>(exchange->server->handle(*exchange, connection));
    }
    static void end(void* self, MHD_Connection*, void** context, MHD_RequestTerminationCode) {
        static_cast<HttpServer*>(self)->end(
            static_cast<Exchange*>(std::exchange(*context, nullptr)));
    }
    static void connection(void* self, MHD_Connection* connection, void**,
                           MHD_ConnectionNotificationCode code) {
        if (code == MHD_CONNECTION_NOTIFY_CLOSED)
            static_cast<HttpServer*>(self)->clients_.remove(descriptor(connection));
    }
};

void HttpServer::Stop::operator()(MHD_Daemon* daemon) const {
    MHD_stop_daemon(daemon);
}

HttpServer::HttpServer(EventLoop& loop, Listener& listener, Asked asked)
  : loop_(loop)
  , listener_(listener)
  , asked_(std::move(asked))
  , clients_(limits)
  , daemon_(MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                                 MHD_USE_SUPPRESS_DATE_NO_CLOCK,
                             0, nullptr, nullptr, &Callbacks::handle, nullptr,           //
                             MHD_OPTION_URI_LOG_CALLBACK, &Callbacks::begin, this,       //
                             MHD_OPTION_NOTIFY_COMPLETED, &Callbacks::end, this,         //
                             MHD_OPTION_NOTIFY_CONNECTION, &Callbacks::connection, this, //
                             MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,                 //
                             MHD_OPTION_CONNECTION_LIMIT, most_connections,              //
                             MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END)) {
    const auto* info =
        daemon_ ? MHD_get_daemon_info(daemon_.get(), MHD_DAEMON_INFO_EPOLL_FD) : nullptr;
    if (info == nullptr)
        throw std::runtime_error("libmicrohttpd does not start");
    epoll_ = info->epoll_fd;
    loop_.watch(epoll_, [] {}); // go_on() does the rest
    loop_.watch(listener_.fd(), [this] { accept(); });
}

HttpServer::~HttpServer() {
    loop_.forget(epoll_);
    loop_.forget(listener_.fd());
    // libmicrohttpd can't stop while one waits.
    std::vector<Id> waiting;
    for (const auto& [id, exchange] : exchanges_)
        if (exchange->waits)
            waiting.push_back(id);
    for (const auto id : waiting)
        answer(id, fail(Refusal{"unavailable", "The firewall's desk is closing.", 503}));
    MHD_run(daemon_.get());
    daemon_.reset();
}

void HttpServer::accept() {
    run();
    const auto now = Clock::now();
    for (int i = 0; i < most_at_once; ++i) {
        auto arrival = listener_.accept();
        if (!arrival)
            return;
        if (!seat(*arrival, now) && standing_.size() < most_standing)
            standing_.push_back(std::move(*arrival));
    }
}

// False if all connections of its user wait for answers, and there are too many.
bool HttpServer::seat(Listener::Arrival& arrival, TimePoint now) {
    const auto room = clients_.make_room(arrival.peer.uid, now);
    if (!room.there)
        return false;
    if (room.evicted)
        close(*room.evicted);
    const int fd = arrival.socket.release(); // libmicrohttpd closes it, also if it refuses it
    sockaddr address{};
    address.sa_family = AF_UNIX;
    clients_.add(fd, arrival.peer, now);
    if (MHD_add_connection(daemon_.get(), fd, &address, sizeof address) == MHD_NO)
        clients_.remove(fd);
    return true;
}

void HttpServer::seat_those_that_wait() {
    run();
    const auto now = Clock::now();
    std::set<Uid> full;
    std::erase_if(standing_, [&](auto& arrival) {
        const Uid uid = arrival.peer.uid;
        const bool seated = !full.contains(uid) && seat(arrival, now);
        if (!seated)
            full.insert(uid);
        return seated;
    });
}

// libmicrohttpd sees the end, and closes the descriptor.
void HttpServer::close(int fd) {
    ::shutdown(fd, SHUT_RDWR);
}

int HttpServer::handle(Exchange& exchange, MHD_Connection* connection) {
    if (exchange.response)
        return queue(connection, *exchange.response);
    const int fd = descriptor(connection);
    const auto fields = fields_of(connection);
    exchange.form = form_of(fields);
    if (!is_question(exchange.uri))
        return queue(connection, not_found());
    if (has_long_head(connection))
        return queue(connection,
                     response_to(fail(malformed("The question's headers are longer than 8 KiB.")),
                                 exchange.form));
    const auto question = parse_question(exchange.uri, fields);
    if (!question)
        return queue(connection, response_to(fail(question.error()), exchange.form));
    const auto peer = clients_.peer(fd);
    if (!peer) // it was told to go
        return MHD_NO;
    MHD_suspend_connection(connection);
    exchange.waits = true;
    clients_.begin(fd);
    asked_(exchange.id, *question, *peer);
    return MHD_YES;
}

void HttpServer::answer(Id id, const Result<Grant, Refusal>& answer) {
    const auto found = exchanges_.find(id);
    if (found == exchanges_.end() || !found->second->waits)
        return;
    auto& exchange = *found->second;
    exchange.response = response_to(answer, exchange.form);
    exchange.waits = false;
    clients_.answer(descriptor(exchange.connection), Clock::now());
    MHD_resume_connection(exchange.connection);
}

void HttpServer::end(Exchange* exchange) {
    if (exchange == nullptr)
        return;
    if (exchange->connection != nullptr)
        clients_.end(descriptor(exchange->connection), Clock::now());
    any_ended_ = true;
    exchanges_.erase(exchange->id);
}

TimePoint HttpServer::go_on(TimePoint now) {
    if (now >= next_sweep_) {
        for (const int fd : clients_.take_overdue(now))
            close(fd);
        next_sweep_ = now + std::chrono::seconds(1);
    }
    if (std::exchange(any_ended_, false) && !standing_.empty())
        seat_those_that_wait();
    const auto quiet = run();
    return any_ended_ && !standing_.empty() ? now : now + quiet;
}

// libmicrohttpd takes a connection in one round and reads it in the next, resumes it in one and
// writes its answer in the next. Afterwards a question that has come is known, so that its
// connection doesn't pass for an idle one.
std::chrono::milliseconds HttpServer::run() {
    constexpr int most_rounds = 16;
    constexpr int quiet_rounds = 2;
    constexpr std::chrono::milliseconds longest{1000};
    MHD_UNSIGNED_LONG_LONG wait = 0; // in ms
    for (int round = 0, quiet = 0; round < most_rounds && quiet < quiet_rounds; ++round) {
        MHD_run(daemon_.get());
        if (MHD_get_timeout(daemon_.get(), &wait) == MHD_NO)
            wait = longest.count();
        quiet = wait == 0 ? 0 : quiet + 1;
    }
    return std::min(longest, std::chrono::milliseconds(wait));
}

} // namespace ubf::portal
