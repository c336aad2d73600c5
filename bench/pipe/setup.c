/*
 * How long a transfer takes to begin: `setup <port> <rounds>`. A sender waits with its body; prints for each round the
 * milliseconds from the receiver's request to its first byte of the body.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int dial(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) exit(1);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

int main(int argc, char **argv) {
  int port = atoi(argv[1]), rounds = argc > 2 ? atoi(argv[2]) : 100;
  char text[8192];
  for (int round = 0; round < rounds; round++) {
    int sender = dial(port);
    int length = snprintf(text, sizeof text, "PUT /setup-%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\n@@@@@", round);
    if (write(sender, text, length) != length) return 1;
    usleep(3000);
    int receiver = dial(port);
    usleep(1000);
    length = snprintf(text, sizeof text, "GET /setup-%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", round);
    double start = now_ms();
    if (write(receiver, text, length) != length) return 1;
    for (int got = 0;;) {
      ssize_t r = read(receiver, text + got, sizeof text - got);
      if (r <= 0) return 1;
      got += r;
      if (memmem(text, got, "@", 1) != NULL) break;
    }
    printf("%.4f\n", now_ms() - start);
    while (read(receiver, text, sizeof text) > 0) continue;
    while (read(sender, text, sizeof text) > 0) continue;
    close(receiver);
    close(sender);
  }
  return 0;
}
