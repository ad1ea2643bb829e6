// What a snippet of the documentation finds included: see check_snippets.py.
#ifndef WEIR_TESTS_DOCS_PRELUDE_H_
#define WEIR_TESTS_DOCS_PRELUDE_H_

#include <cstdint>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "weir/channels/any_value.h"
#include "weir/channels/append_log.h"
#include "weir/channels/barrier.h"
#include "weir/channels/ephemeral.h"
#include "weir/channels/last_value.h"
#include "weir/channels/messages.h"
#include "weir/channels/record_codec.h"
#include "weir/channels/reducer.h"
#include "weir/channels/topic.h"
#include "weir/channels/untracked.h"
#include "weir/checkpoint/database_report.h"
#include "weir/checkpoint/memory_checkpointer.h"
#include "weir/checkpoint/sqlite_checkpointer.h"
#include "weir/runtime/call.h"
#include "weir/runtime/draw.h"
#include "weir/runtime/entrypoint.h"
#include "weir/runtime/errors.h"
#include "weir/runtime/executor.h"
#include "weir/runtime/memory_store.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/task.h"
#include "weir/runtime/trace.h"
#include "weir/stream/event_log.h"

#endif  // WEIR_TESTS_DOCS_PRELUDE_H_
