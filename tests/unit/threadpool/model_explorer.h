// Goes through every interleaving of a few small processes. A model is a copyable,
// hashable-by-bytes state (no padding that differs) with
//   static constexpr int kProcesses;
//   bool step(int process);        one atomic step; false, and no change, if it is blocked or ended
//   std::string complaint() const; not empty: this state breaks a rule
//   std::string end_complaint() const;  the same, for a state in which nobody can step
#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace evpool {

struct Exploration {
  std::size_t states = 0;
  std::size_t ends = 0;
  std::string complaint;  // the first found, with the processes' turns that lead there
};

template <typename Model>
Exploration explore(const Model& start) {
  static_assert(std::has_unique_object_representations_v<Model>, "states are compared by bytes");
  struct Node {
    Model state;
    std::string turns;  // the process numbers, in order
  };
  const auto bytes = [](const Model& state) {
    return std::string(reinterpret_cast<const char*>(&state), sizeof(state));
  };
  Exploration result;
  std::unordered_set<std::string> seen{bytes(start)};
  std::vector<Node> open{{start, ""}};
  while (!open.empty()) {
    const Node node = open.back();
    open.pop_back();
    ++result.states;
    std::string complaint = node.state.complaint();
    bool can_step = false;
    for (int process = 0; process < Model::kProcesses && complaint.empty(); ++process) {
      Model next = node.state;
      if (!next.step(process)) continue;
      can_step = true;
      if (seen.insert(bytes(next)).second) {
        open.push_back({next, node.turns + static_cast<char>('0' + process)});
      }
    }
    if (complaint.empty() && !can_step) {
      ++result.ends;
      complaint = node.state.end_complaint();
    }
    if (!complaint.empty()) {
      result.complaint = complaint + ", after turns " + node.turns;
      return result;
    }
  }
  return result;
}

}  // namespace evpool
