// Datagrams in batches, with and without segmentation offload: what is sent arrives as it was, each
// answer a datagram of its own.
#include "server/datagrams.h"

#include <gtest/gtest.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/becomes_true.h"

namespace {

// What sendmmsg fails with when its first message holds several datagrams; 0: it does not.
std::atomic<int> grouped_fail_with{0};

}  // namespace

extern "C" {
int __real_sendmmsg(int socket, mmsghdr* messages, unsigned count, int flags);
int __wrap_sendmmsg(int socket, mmsghdr* messages, unsigned count, int flags) {
  if (grouped_fail_with.load() != 0 && messages[0].msg_hdr.msg_controllen > 0) {
    errno = grouped_fail_with.load();
    return -1;
  }
  return __real_sendmmsg(socket, messages, count, flags);
}
}

namespace evpool {
namespace {

PeerAddress address_of(const Descriptor& socket) {
  PeerAddress address{};
  socklen_t size = sizeof(address);
  EXPECT_EQ(getsockname(socket.get(), &address.any, &size), 0);
  return address;
}

void append(Replies& replies, const PeerAddress& peer, const std::string& bytes) {
  replies.bytes += bytes;
  replies.mark(0);
  replies.peers.push_back(peer);
}

class Datagrams : public testing::Test {
 protected:
  ~Datagrams() override { grouped_fail_with = 0; }

  static Descriptor bound() {
    return std::move(bind_sockets("udp", {"127.0.0.1", 0}, Transport::udp).front());
  }

  // What has arrived, in order, once it is as many.
  static std::vector<std::string> receive(const Descriptor& socket, std::size_t count) {
    DatagramReceiver receiver(socket, true);
    std::vector<std::string> received;
    EXPECT_TRUE(becomes_true([&] {
      receiver.receive([&](const ReceivedDatagram& datagram) {
        EXPECT_FALSE(datagram.truncated);
        received.emplace_back(datagram.bytes);
      });
      return received.size() >= count;
    }));
    return received;
  }

  // Sends these from sender_ to peer_, and expects them there.
  void send_and_expect(const std::vector<std::string>& datagrams) {
    Replies replies;
    for (const std::string& datagram : datagrams) append(replies, address_of(peer_), datagram);
    EXPECT_EQ(send_datagrams(sender_, replies, offload_), datagrams.size());
    EXPECT_EQ(receive(peer_, datagrams.size()), datagrams);
  }

  Descriptor sender_ = bound();
  Descriptor peer_ = bound();
  std::atomic<bool> offload_{true};
};

std::vector<std::string> some_of_each_size() {
  std::vector<std::string> datagrams;
  for (const std::size_t bytes :
       {10U, 10U, 10U, 5U, 10U, 0U, 0U, 10U, 20U, 20U, 7U, 7U, 3U, 1'400U, 1'400U, 1U}) {
    datagrams.emplace_back(bytes, static_cast<char>('a' + datagrams.size()));
  }
  return datagrams;
}

TEST_F(Datagrams, arrive_one_by_one_whatever_their_sizes) { send_and_expect(some_of_each_size()); }

TEST_F(Datagrams, arrive_without_offload_too) {
  offload_ = false;
  send_and_expect(some_of_each_size());
}

TEST_F(Datagrams, more_than_a_buffer_may_hold_go_in_several) {
  std::vector<std::string> datagrams;
  for (int i = 0; i < 150; ++i) datagrams.emplace_back(32, static_cast<char>(i));
  send_and_expect(datagrams);
  send_and_expect({std::string(40'000, 'a'), std::string(40'000, 'b'), std::string(65'507, 'c')});
}

TEST_F(Datagrams, go_one_by_one_where_the_device_cannot_cut) {
  grouped_fail_with = EIO;
  send_and_expect(some_of_each_size());
  EXPECT_FALSE(offload_.load()) << "and it is not tried again";
}

TEST_F(Datagrams, go_one_by_one_where_a_group_does_not_fit) {
  grouped_fail_with = EMSGSIZE;
  send_and_expect(some_of_each_size());
  EXPECT_TRUE(offload_.load());
}

TEST_F(Datagrams, what_the_kernel_does_not_take_is_lost_and_counted) {
  grouped_fail_with = EAGAIN;
  Replies replies;
  const Descriptor other = bound();
  for (int i = 0; i < 3; ++i) append(replies, address_of(peer_), "lost");
  append(replies, address_of(other), "sent");
  EXPECT_EQ(send_datagrams(sender_, replies, offload_), 1U);
  EXPECT_EQ(receive(other, 1), std::vector<std::string>{"sent"});
}

TEST_F(Datagrams, reach_each_its_own_peer) {
  const Descriptor other = bound();
  Replies replies;
  for (int i = 0; i < 4; ++i) {
    append(replies, address_of(i % 2 == 0 ? peer_ : other), std::string(8, static_cast<char>(i)));
  }
  EXPECT_EQ(send_datagrams(sender_, replies, offload_), 4U);
  EXPECT_EQ(receive(peer_, 2), (std::vector<std::string>{std::string(8, 0), std::string(8, 2)}));
  EXPECT_EQ(receive(other, 2), (std::vector<std::string>{std::string(8, 1), std::string(8, 3)}));
}

TEST_F(Datagrams, that_came_as_one_buffer_are_cut_again) {
  DatagramReceiver receiver(peer_, true);
  const int segment_bytes = 10;
  ASSERT_EQ(
      setsockopt(sender_.get(), IPPROTO_UDP, UDP_SEGMENT, &segment_bytes, sizeof(segment_bytes)),
      0);
  const PeerAddress to = address_of(peer_);
  ASSERT_EQ(sendto(sender_.get(), "aaaaaaaaaabbbbbbbbbbccc", 23, 0, &to.any, to.size()), 23);
  std::vector<std::string> received;
  EXPECT_TRUE(becomes_true([&] {
    receiver.receive([&](const ReceivedDatagram& datagram) {
      EXPECT_EQ(datagram.peer.port(), address_of(sender_).port());
      received.emplace_back(datagram.bytes);
    });
    return received.size() >= 3;
  }));
  EXPECT_EQ(received, (std::vector<std::string>{"aaaaaaaaaa", "bbbbbbbbbb", "ccc"}));
}

}  // namespace
}  // namespace evpool
