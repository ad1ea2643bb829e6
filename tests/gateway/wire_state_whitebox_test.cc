#include "weir/gateway/internal/wire_state.h"

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "weir/channels/messages.h"
#include "weir/gateway/internal/json.h"
#include "weir/runtime/errors.h"

// Ids, metadata and addresses on the wire; recordings of threads, runs and
// states are in wire_transcripts_whitebox_test.cc.
namespace weir {
namespace {

using internal::Json;
using ::testing::HasSubstr;

TEST(AssistantIdTest, IsTheUuidOfTheNameAndStays) {
  // From another implementation, in the Agent Server's namespace.
  EXPECT_EQ(internal::AssistantId("agent"),
            "fe096781-5601-53d2-b2f6-0d3403f7e9ca");
  EXPECT_NE(internal::AssistantId("agent"), internal::AssistantId("Agent"));
  EXPECT_TRUE(internal::IsUuid(internal::AssistantId("")));
}

TEST(IsUuidTest, TakesTheOneForm) {
  EXPECT_TRUE(internal::IsUuid("01a1fdc8-3681-7643-b3b9-8e9c682aceb5"));
  for (const char* text : {"", "not-a-uuid", "01a1fdc836817643b3b98e9c682aceb5",
                           "01A1FDC8-3681-7643-B3B9-8E9C682ACEB5",
                           "01a1fdc8-3681-7643-b3b9-8e9c682aceb",
                           "01a1fdc8-3681-7643-b3b9-8e9c682aceb5 ",
                           "01a1fdc83-681-7643-b3b9-8e9c682aceb5",
                           "01a1fdc8-3681-7643-b3b9-8e9c682aceg5"}) {
    EXPECT_FALSE(internal::IsUuid(text)) << text;
  }
}

TEST(CheckpointIdTest, IsShownAsAUuidAndReadInBothForms) {
  const CheckpointId id{.sequence = 4, .random = 0xbaae624241b2784bu};
  const std::string uuid = "00000000-0000-0004-baae-624241b2784b";
  EXPECT_EQ(internal::CheckpointIdText(id), uuid);
  EXPECT_EQ(internal::ParseCheckpointId(uuid).value(), id);
  EXPECT_EQ(internal::ParseCheckpointId(id.ToString()).value(), id);
  EXPECT_EQ(internal::CheckpointIdText({}), "");
  for (const char* text :
       {"", "latest", "00000000-0000-0004-baae-624241b2784",
        "00000000-0000-0000-0000-000000000000", "0000000000000004"}) {
    const absl::Status status = internal::ParseCheckpointId(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("is no checkpoint's id"));
  }
}

TEST(CheckpointRefTest, ComesBackAsItWasShown) {
  const CheckpointRef ref{.thread_id = "t",
                          .ns = "child:1",
                          .id = {.sequence = 7, .random = 1},
                          .around = {{"", {.sequence = 6, .random = 2}}}};
  std::string text;
  internal::AppendCheckpointRef(ref, &text);
  EXPECT_EQ(text, R"({"thread_id": "t", )"
                  R"("checkpoint_id": "00000000-0000-0007-0000-000000000001", )"
                  R"("checkpoint_ns": "child:1", "checkpoint_map": )"
                  R"({"": "00000000-0000-0006-0000-000000000002"}})");
  absl::StatusOr<CheckpointRef> read =
      internal::RefFromJson(internal::ParseJson(text).value());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->thread_id, ref.thread_id);
  EXPECT_EQ(read->ns, ref.ns);
  EXPECT_EQ(read->id, ref.id);
  EXPECT_EQ(read->around, ref.around);
}

TEST(CheckpointRefTest, WhatIsMissingStaysEmpty) {
  for (const char* text :
       {"{}", R"({"checkpoint_id": null, "checkpoint_map": null})"}) {
    absl::StatusOr<CheckpointRef> ref =
        internal::RefFromJson(internal::ParseJson(text).value());
    ASSERT_TRUE(ref.ok()) << ref.status();
    EXPECT_FALSE(ref->id.has_value());
    EXPECT_EQ(ref->ns, "");
  }
  std::string none;
  internal::AppendCheckpointRef({.thread_id = "t"}, &none);
  EXPECT_EQ(none, "null");
}

TEST(CheckpointRefTest, OtherFormsAreRefused) {
  for (const char* text :
       {"[]", "null", "\"x\"", R"({"checkpoint_id": 7})",
        R"({"checkpoint_id": "x"})", R"({"checkpoint_ns": []})",
        R"({"thread_id": 1})", R"({"checkpoint_map": 1})",
        R"({"checkpoint_map": {"": 1}})", R"({"checkpoint_map": {"": "x"}})"}) {
    const absl::Status status =
        internal::RefFromJson(internal::ParseJson(text).value()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("checkpoint")) << text;
  }
}

TEST(MetadataTest, IsTextAsWeirWritesIt) {
  absl::StatusOr<Metadata> metadata = internal::MetadataFromJson(
      internal::ParseJson(R"({"a":{"b":[1,2.0,"ü"]},"c":null})").value());
  ASSERT_TRUE(metadata.ok()) << metadata.status();
  EXPECT_EQ(*metadata,
            (Metadata{{"a", R"({"b": [1, 2.0, "ü"]})"}, {"c", "null"}}));
  EXPECT_TRUE(internal::MetadataFromJson(Json())->empty());
  EXPECT_TRUE(
      internal::MetadataFromJson(Json(Json::value_t::discarded))->empty());
}

TEST(MetadataTest, NamesOfTheGatewaysOwnAreRefused) {
  EXPECT_THAT(
      std::string(internal::MetadataFromJson(Json({{"__weir_kwargs", 1}}))
                      .status()
                      .message()),
      HasSubstr("are the gateway's own"));
  EXPECT_FALSE(internal::IsShown("__weir_kwargs"));
  EXPECT_TRUE(internal::IsShown("weir"));
  for (const char* text : {"[]", "7", "\"x\""}) {
    EXPECT_THAT(std::string(internal::MetadataFromJson(
                                internal::ParseJson(text).value())
                                .status()
                                .message()),
                HasSubstr("give an object"));
  }
}

TEST(ThreadJsonTest, BeforeTheFirstRunThereAreNoValues) {
  const ThreadInfo thread{.id = "t",
                          .metadata = {{"a", "1"}, {"__weir_x", "2"}},
                          .ttl = absl::Hours(1)};
  EXPECT_EQ(internal::ThreadJson(thread),
            R"({"thread_id": "t", )"
            R"("created_at": "1970-01-01T00:00:00.000Z", )"
            R"("updated_at": "1970-01-01T00:00:00.000Z", )"
            R"("state_updated_at": "1970-01-01T00:00:00.000Z", )"
            R"("metadata": {"a": 1}, "status": "idle", "config": {}, )"
            R"("ttl": {"strategy": "delete", "ttl": 60}})");
}

TEST(ThreadJsonTest, WithoutAStateInterruptsAreByTheirIds) {
  const ThreadInfo thread{.id = "t",
                          .status = ThreadStatus::kInterrupted,
                          .graph = "g",
                          .interrupts = {{"i", Value("?")}}};
  EXPECT_THAT(internal::ThreadJson(thread),
              HasSubstr(R"("values": {}, "interrupts": )"
                        R"({"i": [{"id": "i", "value": "?"}]})"));
}

TEST(StateJsonTest, OfAThreadThatNeverRanHasNoCheckpoint) {
  EXPECT_EQ(internal::StateJson({}),
            R"({"values": {}, "next": [], "tasks": [], "created_at": null, )"
            R"("checkpoint": null, "parent_checkpoint": null, )"
            R"("interrupts": []})");
}

TEST(StateJsonTest, ShowsGraphsInsideAndWhatFailed) {
  auto inside = std::make_shared<StateSnapshot>();
  inside->values.Add("messages",
                     Value(std::vector<Message>{{"user", "hi", "m"}}));
  StateSnapshot state;
  state.tasks = {{.id = "1",
                  .name = "child",
                  .inside = CheckpointRef{.thread_id = "t", .ns = "child:1"},
                  .state = inside},
                 {.id = "2", .name = "bad", .error = "Boo!"}};
  const Json tasks =
      internal::ParseJson(internal::StateJson(state)).value()["tasks"];
  EXPECT_EQ(tasks[0]["checkpoint"],
            Json({{"thread_id", "t"}, {"checkpoint_ns", "child:1"}}));
  EXPECT_EQ(tasks[0]["state"]["values"]["messages"][0]["type"], "human");
  EXPECT_EQ(tasks[1]["error"], "Boo!");
  EXPECT_EQ(tasks[1]["state"], nullptr);
}

TEST(RunJsonTest, SaysWhenARunIsToStart) {
  RunInfo run{.id = "r",
              .thread_id = "t",
              .graph = "g",
              .metadata = {{"who", "\"me\""}, {"__weir_kwargs", "{}"}}};
  const Json kwargs = {{"input", 1}};
  const Json shown =
      internal::ParseJson(internal::RunJson(run, kwargs)).value();
  EXPECT_EQ(shown["kwargs"], kwargs);
  EXPECT_EQ(shown["metadata"],
            Json({{"created_by", "system"},
                  {"graph_id", "g"},
                  {"assistant_id", internal::AssistantId("g")},
                  {"who", "me"}}));
  EXPECT_FALSE(shown.contains("start_after"));
  run.start_after = run.created_at + absl::Seconds(30);
  EXPECT_THAT(internal::RunJson(run, kwargs),
              HasSubstr(R"("start_after": "1970-01-01T00:00:30.000Z")"));
}

TEST(OutcomeJsonTest, IsValuesOrAQuestionOrAnError) {
  RunOutcome outcome;
  outcome.values.Add("x", Value(1));
  EXPECT_EQ(internal::OutcomeJson(outcome), R"({"x": 1})");
  outcome.interrupts = {{"i", Value("?")}};
  EXPECT_EQ(internal::OutcomeJson(outcome),
            R"({"x": 1, "__interrupt__": [{"id": "i", "value": "?"}]})");
  outcome.status = RunStatus::kError;
  outcome.error = absl::NotFoundError("gone");
  EXPECT_EQ(internal::OutcomeJson(outcome),
            R"({"__error__": {"error": "NOT_FOUND", "message": "gone"}})");
}

TEST(HttpStatusTest, FollowsTheCode) {
  const std::pair<absl::Status, int> cases[] = {
      {absl::OkStatus(), 200},
      {absl::InvalidArgumentError(""), 422},
      {absl::NotFoundError(""), 404},
      {absl::OutOfRangeError(""), 404},
      {absl::AlreadyExistsError(""), 409},
      {absl::FailedPreconditionError(""), 409},
      {absl::AbortedError(""), 409},
      {absl::ResourceExhaustedError(""), 429},
      {absl::UnimplementedError(""), 501},
      {absl::UnavailableError(""), 503},
      {absl::DeadlineExceededError(""), 504},
      {absl::DataLossError(""), 500},
      {absl::InternalError(""), 500},
      {absl::UnknownError(""), 500}};
  for (const auto& [status, code] : cases) {
    EXPECT_EQ(internal::HttpStatus(status), code) << status;
  }
  EXPECT_EQ(internal::ErrorBody(absl::NotFoundError("no \"x\"\n")),
            R"({"detail": "no \"x\"\n"})");
}

}  // namespace
}  // namespace weir
