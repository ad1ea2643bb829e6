// What an agent remembers from one thread to the next: what a user has told in
// one conversation is found in another, by what it is about.

#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "weir/channels/last_value.h"
#include "weir/runtime/memory_store.h"
#include "weir/runtime/runtime.h"
#include "weir/runtime/state_graph.h"
#include "weir/runtime/store.h"

namespace {

// Stands for a model of embeddings: how much a text is about food, and how much
// about travel.
absl::StatusOr<std::vector<std::vector<float>>> Embed(
    const std::vector<std::string>& texts) {
  const std::vector<std::vector<std::string>> topics = {
      {"eat", "dinner", "vegan", "noodles"}, {"train", "trip", "fly", "hotel"}};
  std::vector<std::vector<float>> vectors;
  for (const std::string& text : texts) {
    std::vector<float>& vector = vectors.emplace_back();
    for (const std::vector<std::string>& words : topics) {
      vector.push_back(static_cast<float>(
          std::ranges::count_if(words, [&text](const std::string& word) {
            return text.find(word) != std::string::npos;
          })));
    }
  }
  return vectors;
}

}  // namespace

int main() {
  weir::StateGraph builder;
  const auto said = builder.AddChannel("said", weir::LastValue<std::string>());
  const auto reply =
      builder.AddChannel("reply", weir::LastValue<std::string>());
  builder.AddNode(
      "talk", [said, reply](weir::NodeContext& node) -> weir::NodeResult {
        const std::string& text = node.Get(said);
        // The host says who speaks; each user has a namespace.
        const weir::StoreNamespace memories = {"users",
                                               *node.context<std::string>()};
        if (!text.ends_with('?')) {
          if (absl::Status s = node.store()->Put(memories, node.task_id(),
                                                 weir::Value(text));
              !s.ok()) {
            return s;
          }
          return weir::Update(reply, "noted");
        }
        const absl::StatusOr<std::vector<weir::StoreItem>> found =
            node.store()->Search(memories, {.query = text, .limit = 1});
        if (!found.ok()) return found.status();
        return weir::Update(
            reply, found->empty()
                       ? "you have not told me"
                       : "you said: " + *found->front().As<std::string>());
      });
  builder.AddEdge(weir::kStart, "talk");
  const absl::StatusOr<weir::Graph> graph = builder.Compile();
  if (!graph.ok()) {
    std::cerr << graph.status() << '\n';
    return 1;
  }

  weir::MemoryStore store({.embed = Embed});
  weir::Runtime runtime({.store = &store});
  if (absl::Status s = runtime.Register("agent", *graph); !s.ok()) {
    std::cerr << s << '\n';
    return 1;
  }
  struct Turn {
    std::string thread, user, text;
  };
  for (const Turn& turn :
       {Turn{"monday", "ann", "I am vegan and like noodles"},
        Turn{"monday", "ann", "I do not fly, I take the train"},
        Turn{"tuesday", "ann", "what shall we eat for dinner?"},
        Turn{"tuesday", "ann", "how do I get to the hotel?"},
        Turn{"tuesday-too", "bob", "what shall we eat for dinner?"}}) {
    weir::StartOptions options;
    options.context = weir::Value(turn.user);
    options.if_not_exists = weir::IfNotExists::kCreate;
    const absl::StatusOr<weir::RunOutcome> outcome = runtime.Wait(
        turn.thread, "agent", weir::Update(said, turn.text), options);
    const absl::Status status =
        outcome.ok() ? outcome->error : outcome.status();
    if (!status.ok()) {
      std::cerr << status << '\n';
      return 1;
    }
    std::cout << turn.thread << ", " << turn.user << ": " << turn.text
              << "\n    " << outcome->values.Get(reply) << '\n';
  }
  return 0;
}
