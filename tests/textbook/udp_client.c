/* The UDP client of every textbook: send a datagram, print the answer. Usage: udp_client PORT TEXT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct sockaddr_in server;
  char answer[65536];
  ssize_t received;
  int sock;

  if (argc != 3) return 2;
  sock = socket(AF_INET, SOCK_DGRAM, 0);
  if (sock < 0) return 1;
  memset(&server, 0, sizeof(server));
  server.sin_family = AF_INET;
  server.sin_addr.s_addr = inet_addr("127.0.0.1");
  server.sin_port = htons((unsigned short)atoi(argv[1]));

  if (sendto(sock, argv[2], strlen(argv[2]), 0, (struct sockaddr*)&server, sizeof(server)) < 0) {
    return 1;
  }
  received = recvfrom(sock, answer, sizeof(answer) - 1, 0, NULL, NULL);
  if (received < 0) return 1;
  answer[received] = '\0';
  printf("%s\n", answer);
  close(sock);
  return 0;
}
