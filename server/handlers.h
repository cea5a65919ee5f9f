// The jobs a server can do: names, one-line descriptions, and the functions that do them.
//
// Filled by one thread before the server is made; constant, and safe to read from any thread,
// afterwards. A handler runs on a worker, on several at the same time; an exception that leaves it
// becomes a `failed` reply with the exception's text.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "request.h"

namespace evpool {

using Handler = std::function<Reply(Request&)>;

class Handlers {
 public:
  // Throws std::invalid_argument when the name is taken, empty, longer than kMaxJobNameBytes, or
  // has a space or a control character (a text line could not call it), or the handler is empty.
  void add(std::string name, std::string description, Handler handler);

  // nullptr when there is none.
  [[nodiscard]] const Handler* find(std::string_view name) const;

  // Calls visit(name, handler) for each, by name; what it is given lives as long as this does.
  void for_each(const std::function<void(std::string_view, const Handler&)>& visit) const;

  // "no job 'uper' (did you mean 'upper'?)"; the suggestion costs a comparison with each job.
  [[nodiscard]] std::string explain_missing(std::string_view name,
                                            bool with_suggestion = true) const;

  // One line each, by name: "upper  the payload in upper case (ASCII)".
  [[nodiscard]] std::string list() const;

 private:
  struct Entry {
    std::string description;
    Handler handler;
  };
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace evpool
