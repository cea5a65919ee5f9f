#include "server/handlers.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "server/builtin_jobs.h"

namespace evpool {
namespace {

Reply nothing(Request&) { return Reply::ok({}); }

Reply call(const Handlers& handlers, const std::string& job, const std::string& payload,
           std::stop_token stop = {}) {
  Request request = {.job = job, .payload = payload, .deadline = {}, .stop = std::move(stop)};
  return (*handlers.find(job))(request);
}

TEST(Handlers, finds_what_was_added_and_nothing_else) {
  Handlers handlers;
  handlers.add("one", "", nothing);
  EXPECT_NE(handlers.find("one"), nullptr);
  EXPECT_EQ(handlers.find("two"), nullptr);
  EXPECT_EQ(handlers.find(""), nullptr);
}

TEST(Handlers, refuses_names_that_no_text_line_could_call) {
  Handlers handlers;
  EXPECT_THROW(handlers.add("", "", nothing), std::invalid_argument);
  EXPECT_THROW(handlers.add("two words", "", nothing), std::invalid_argument);
  EXPECT_THROW(handlers.add("line\n", "", nothing), std::invalid_argument);
  EXPECT_THROW(handlers.add(std::string(256, 'x'), "", nothing), std::invalid_argument);
  handlers.add(std::string(255, 'x'), "", nothing);
  handlers.add("größe", "", nothing);
}

TEST(Handlers, refuses_a_second_handler_of_the_same_name_and_an_empty_one) {
  Handlers handlers;
  handlers.add("one", "", nothing);
  EXPECT_THROW(handlers.add("one", "", nothing), std::invalid_argument);
  EXPECT_THROW(handlers.add("two", "", Handler{}), std::invalid_argument);
}

TEST(Handlers, suggests_the_name_that_may_have_been_meant) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  EXPECT_EQ(handlers.explain_missing("uper"), "no job 'uper' (did you mean 'upper'?)");
  EXPECT_EQ(handlers.explain_missing("something"), "no job 'something'");
}

TEST(BuiltinJobs, echo_gives_the_payload_back_and_upper_changes_ascii_letters_only) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  const std::string every_byte = [] {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    return bytes;
  }();
  EXPECT_EQ(call(handlers, "echo", every_byte).payload, every_byte);
  EXPECT_EQ(call(handlers, "upper", "aZz{`ä").payload, "AZZ{`ä");
  EXPECT_EQ(call(handlers, "upper", "").payload, "");
}

TEST(BuiltinJobs, sleep_and_spin_take_whole_numbers_only) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  for (const char* const job : {"sleep", "spin"}) {
    EXPECT_EQ(call(handlers, job, "0").status, Status::ok) << job;
    for (const char* const wrong : {"", "-1", "1.5", "1s", "99999999999999999999", "3600000001"}) {
      EXPECT_EQ(call(handlers, job, wrong).status, Status::failed) << job << wrong;
    }
  }
}

TEST(BuiltinJobs, sleep_and_spin_end_when_they_are_asked_to_stop) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(call(handlers, "sleep", "3600000", stop.get_token()).status, Status::cancelled);
  EXPECT_EQ(call(handlers, "spin", "3600000000", stop.get_token()).status, Status::cancelled);
}

TEST(BuiltinJobs, fail_fails_with_its_payload) {
  Handlers handlers;
  add_builtin_jobs(handlers);
  const Reply reply = call(handlers, "fail", "why");
  EXPECT_EQ(reply.status, Status::failed);
  EXPECT_EQ(reply.payload, "why");
}

TEST(BuiltinJobs, stats_tells_every_count_in_the_order_of_the_struct) {
  Handlers handlers;
  Statistics next;
  next.received = 1;
  next.completed = 2;
  next.failed = 3;
  next.expired = 4;
  next.cancelled = 5;
  next.refused = 6;
  next.undelivered = 7;
  next.pings = 8;
  next.datagrams_ignored = 9;
  next.datagrams_dropped = 10;
  next.connections_accepted = 11;
  next.connections_refused = 12;
  next.connections_stalled = 13;
  next.connections_evicted = 14;
  next.connections_open = 18'446'744'073'709'551'615U;
  add_statistics_job(handlers, [&next] { return next; });
  const Reply reply = call(handlers, "stats", "ignored");
  EXPECT_EQ(reply.status, Status::ok);
  EXPECT_EQ(reply.payload,
            "received 1\ncompleted 2\nfailed 3\nexpired 4\ncancelled 5\nrefused 6\nundelivered 7\n"
            "pings 8\ndatagrams_ignored 9\ndatagrams_dropped 10\nconnections_accepted 11\n"
            "connections_refused 12\nconnections_stalled 13\nconnections_evicted 14\n"
            "connections_open 18446744073709551615\n");
  next.received = 100;  // asked anew each time
  EXPECT_TRUE(call(handlers, "stats", "").payload.starts_with("received 100\n"));
}

TEST(BuiltinJobs, jobs_lists_all_and_itself) {
  Handlers handlers;
  handlers.add("mine", "my own", nothing);
  add_jobs_list(handlers);
  EXPECT_EQ(call(handlers, "jobs", "").payload,
            "jobs  the names and descriptions of all jobs\n"
            "mine  my own");
}

}  // namespace
}  // namespace evpool
