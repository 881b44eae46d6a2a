// Requests on the control socket.
#include "daemon/control/request.hpp"
#include "daemon/jobs/job_json.hpp"
#include "daemon/log/refusal.hpp"
#include "daemon/tickets/portal_question.hpp"
#include "fuzzer.hpp"
#include "rdma/report.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (const auto request = ubf::parse_request(ubf::fuzz::text(data, size))) {
        static_cast<void>(ubf::text_of(*request, "command"));
        static_cast<void>(ubf::flow_of(*request));
        static_cast<void>(ubf::job_of(*request));
        static_cast<void>(ubf::filter_of(*request));
        static_cast<void>(ubf::rdma::to_report(*request));
        static_cast<void>(ubf::rdma::to_orders(*request));
        if (const auto may = request->find("may"); may != request->end())
            static_cast<void>(ubf::portal_question(*may));
        if (const auto refusal = ubf::to_refusal(*request))
            static_cast<void>(ubf::to_json(*refusal));
    }
    return 0;
}
