// weir-gateway: serves weir's example graphs over HTTP, for clients of
// LangGraph's Agent Server, and shows them at its page.
//
//   weir-gateway --graph joke --port 2024 --db runs.db
//
// SIGTERM and SIGINT end it: streams are cut, runs stop at their next barrier,
// and with --db the next one goes on with them.

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gateway/program/graphs.h"

#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/gateway/gateway.h"
#include "weir/runtime/runtime.h"

ABSL_FLAG(std::vector<std::string>, graph, {},
          "the graphs to serve, by name and separated by commas; all of them "
          "if there is none");
ABSL_FLAG(std::string, address, "127.0.0.1", "where to listen");
ABSL_FLAG(uint16_t, port, 2024, "where to listen; 0: a port that is free");
ABSL_FLAG(std::string, db, "",
          "the file that threads and runs are kept in; without one they go "
          "with the program");
ABSL_FLAG(std::string, api_key, "",
          "the key that requests must have in x-api-key; by default that of "
          "the environment's WEIR_API_KEY");
ABSL_FLAG(std::vector<std::string>, allow_origin, {},
          "origins whose pages may call, or *");
ABSL_FLAG(std::vector<std::string>, allow_host, {},
          "names that this machine is called by");
ABSL_FLAG(bool, allow_webhooks, false, "let runs name URLs to post to");
ABSL_FLAG(absl::Duration, drain, absl::Seconds(10),
          "how long to wait for runs to stop at the end");

namespace {

int Fail(const absl::Status& status) {
  std::cerr << "weir-gateway: " << status.message() << '\n';
  return 1;
}

// Serves until a signal comes.
int Serve(const sigset_t& signals) {
  std::unique_ptr<weir::SqliteCheckpointer> store;
  if (const std::string file = absl::GetFlag(FLAGS_db); !file.empty()) {
    absl::StatusOr<std::unique_ptr<weir::SqliteCheckpointer>> opened =
        weir::SqliteCheckpointer::Open(file);
    if (!opened.ok()) return Fail(opened.status());
    store = *std::move(opened);
  }
  weir::Runtime runtime(
      {.checkpointer = store.get(), .on_shutdown = weir::OnShutdown::kDrain});

  weir::GatewayOptions options{
      .address = absl::GetFlag(FLAGS_address),
      .port = absl::GetFlag(FLAGS_port),
      .api_key = absl::GetFlag(FLAGS_api_key),
      .allowed_origins = absl::GetFlag(FLAGS_allow_origin),
      .allowed_hosts = absl::GetFlag(FLAGS_allow_host),
      .allow_webhooks = absl::GetFlag(FLAGS_allow_webhooks)};
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets any.
  const char* const key = std::getenv("WEIR_API_KEY");
  if (options.api_key.empty() && key != nullptr) options.api_key = key;
  weir::Gateway gateway(runtime, std::move(options));

  std::vector<weir::ExampleGraph> graphs = weir::ExampleGraphs();
  const std::vector<std::string> wanted = absl::GetFlag(FLAGS_graph);
  std::string names;
  for (const weir::ExampleGraph& graph : graphs) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", graph.name);
  }
  for (const std::string& name : wanted) {
    if (std::none_of(graphs.begin(), graphs.end(), [&name](const auto& graph) {
          return graph.name == name;
        })) {
      return Fail(absl::NotFoundError(absl::StrCat(
          "--graph: there is no '", name, "'; there are ", names)));
    }
  }
  for (weir::ExampleGraph& graph : graphs) {
    if (!wanted.empty() &&
        std::find(wanted.begin(), wanted.end(), graph.name) == wanted.end()) {
      continue;
    }
    if (absl::Status s = gateway.Serve(graph.name, std::move(graph.graph),
                                       std::move(graph.options));
        !s.ok()) {
      return Fail(s);
    }
  }
  if (absl::Status s = gateway.Start(); !s.ok()) return Fail(s);
  const std::string address = absl::GetFlag(FLAGS_address);
  const bool is_v6 = absl::StrContains(address, ":");
  std::cout << "listening at http://" << (is_v6 ? "[" + address + "]" : address)
            << ':' << gateway.port() << std::endl;

  int signal = 0;
  sigwait(&signals, &signal);
  const absl::Duration deadline = absl::GetFlag(FLAGS_drain);
  gateway.Stop(deadline);
  if (absl::Status s = runtime.Drain(deadline); !s.ok()) {
    std::cerr << "weir-gateway: " << s.message() << '\n';
  }
  return 0;
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): what could throw is told not to.
int main(int argc, char** argv) {
  absl::FlagsUsageConfig usage;
  usage.contains_help_flags = [](absl::string_view file) {
    return absl::EndsWith(file, "gateway/program/main.cc");
  };
  absl::SetFlagsUsageConfig(usage);
  absl::SetProgramUsageMessage(
      "serves weir's example graphs over HTTP\n"
      "  weir-gateway --graph joke --port 2024 --db runs.db");
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    std::cerr << "weir-gateway: what is '" << rest[1] << "'? See --help\n";
    return 2;
  }
  // Before there are threads, which take it from here.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return Serve(signals);
}
