// The subcommands, in the order of `ubfctl --help`.
#include "command.hpp"

#include <array>

namespace ubf::ctl {
namespace {

constexpr std::array<Command, 23> every_command{{
    {"why", "why [--last NUMBER] [--follow]",
     "why flows of yours were refused, and what to do; for every user", "ubfctl why --last 3", why},
    {"status", "status [--peers] [--watch[=SECONDS]]",
     "what ubfd does: queues, verdicts, owners, peers; problems come first", "ubfctl status",
     status},
    {"top", "top [--once]", "the same now, each second anew: rates, queues, peers, refusals",
     "ubfctl top", top},
    {"report", "report [--since SPAN] [--suggest] [--from FILE...]",
     "what was refused, or would be, by whom; and settings that would open just that",
     "ubfctl report --since 12h --suggest", report},
    {"explain",
     "explain --from HOST:PORT --to HOST:PORT [--proto tcp|udp] |\n"
     "         --as USER --from HOST --to HOST:PORT [--proto tcp|udp] | ID | --last [USER]",
     "who owns each end of a flow, and what the verdict would be; or a refusal that is over",
     "ubfctl explain --from 10.0.0.1:40000 --to 10.0.0.2:8888", explain},
    {"flows",
     "flows [--user USER] [--reason REASON] [-o|--output COLUMNS] [--no-headings]\n"
     "         [--watch[=SECONDS]]",
     "the flows that are allowed now", "ubfctl flows --user alice -o +program", flows,
     flow_columns},
    {"allow", "allow [--for SPAN EXCEPTION | --remove EXCEPTION]",
     "an exception that ends by itself; and which ones hold",
     "ubfctl allow --for 2h 'alice>bob tcp/8786@10.0.0.2'", allow},
    {"revoke",
     "revoke --flow FLOW | --from ADDR:PORT --to ADDR:PORT [--proto tcp|udp] |\n"
     "         [--user USER] [--reason REASON] | --all",
     "ends allowed flows now; a new connection is decided as ever", "ubfctl revoke --user mallory",
     revoke},
    {"peers", "peers [--silent] [-o|--output COLUMNS] [--no-headings] [--watch[=SECONDS]]",
     "the peers that were asked, the worst first", "ubfctl peers --silent", peers, peer_columns},
    {"log", "log [--since TIME] [--user USER] [--reason REASON] [--follow]",
     "ubfd's lines in the journal", "ubfctl log --since today --user bob", log},
    {"config", "config [--set]", "the settings that hold, and where they are set",
     "ubfctl config --set", config},
    {"check-config", "check-config [FILE]", "whether a configuration is good",
     "ubfctl check-config ubfd.toml", check_config},
    {"ruleset", "ruleset [--install|--keep|--remove] [--slurm FILE] [FILE]",
     "the nftables ruleset of a configuration, to import; or put it there, or take it away",
     "ubfctl ruleset > /etc/nftables.d/ubf.nft", ruleset},
    {"job", "job begin [OPTION]... | job end [--job ID] | job list",
     "for Slurm's Prolog and Epilog: a job begins, or ends; and which ones run", "ubfctl job list",
     job},
    {"reload", "reload", "have ubfd read its configuration anew, and say whether it is good",
     "ubfctl reload", reload},
    {"listeners", "listeners [--user USER] [--job ID] [--without-job] [--config FILE]",
     "who listens on this node, from which job; without root, one's own",
     "ubfctl listeners --without-job", listeners},
    {"doctor", "doctor [--config FILE] [--slurm-conf FILE] [--bundle | --explain ID]",
     "each layer of this node that a user could go around: ok, off with the line to write, or "
     "n/a",
     "ubfctl doctor", doctor_command},
    {"metrics", "metrics [--http]",
     "what ubfd counts, in Prometheus's text format; or that as an answer to HTTP",
     "ubfctl metrics > /var/lib/node_exporter/ubf.prom", metrics},
    {"keygen", "keygen [FILE]", "make a cluster key", "ubfctl keygen", keygen},
    {"node",
     "node keygen [FILE] | node show [FILE] |\n"
     "         node request [--key FILE] [--name NAME] [--token-file FILE]",
     "a node's own key, and its request for a certificate", "ubfctl node request > n1.req", node},
    {"ca",
     "ca init | ca sign REQUEST [--class CLASS] [--address PREFIX]... [--for SPAN] "
     "[--may-grant]\n"
     "         [--out FILE] | ca sign --roster LIST | --slurm FILE [--requests FOLDER]\n"
     "         [--class CLASS] [--out FOLDER] | ca token --name NAME [--class CLASS]\n"
     "         [--address PREFIX]... [--for SPAN] | ca revoke SERIAL|NAME... | ca list |\n"
     "         ca roster FILE; each with [--ca FOLDER] [--passphrase-file FILE]",
     "the authority: signs the nodes' certificates and their roster, and revokes",
     "ubfctl ca sign n1.req --class compute --address 10.0.0.1", ca},
    {"grant",
     "grant --user USER --node NAME [--job ID] [--for SPAN] [--key FILE] [--certificate FILE]",
     "a grant: the user may be at that node, says this one", "ubfctl grant --user alice --node n1",
     grant},
    {"completion", "completion bash|zsh|fish", "a script by which a shell completes ubfctl",
     "ubfctl completion bash > /usr/share/bash-completion/completions/ubfctl", completion},
}};

} // namespace

std::span<const Command> commands() {
    return every_command;
}

} // namespace ubf::ctl
