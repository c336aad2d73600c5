/*
 * What copying costs at least: `relay` reads from one connection and writes each read to n others. It waits for n GETs and
 * a PUT, looks at nothing but the first letter of each, and passes the sender's body on as it is. Prints its port.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[1 << 19];

static void put(int fd, const char *bytes, ssize_t length) {
  while (length > 0) {
    ssize_t w = write(fd, bytes, length);
    if (w <= 0) return;
    bytes += w;
    length -= w;
  }
}

int main(int argc, char **argv) {
  int n = argc > 1 ? atoi(argv[1]) : 1;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (bind(listener, (struct sockaddr *)&at, size) < 0 || listen(listener, 1024) < 0) return 1;
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  int *receivers = calloc(n, sizeof *receivers);
  for (;;) {
    int count = 0, sender = -1;
    ssize_t rest = 0;
    char *body = buffer;
    while (count < n || sender < 0) {
      int fd = accept(listener, NULL, NULL);
      ssize_t r = read(fd, buffer, sizeof buffer);
      if (r <= 0) { close(fd); continue; }
      if (buffer[0] == 'G') { receivers[count++] = fd; continue; }
      sender = fd;
      body = memmem(buffer, r, "\r\n\r\n", 4);
      body = body == NULL ? buffer + r : body + 4;
      rest = buffer + r - body;
    }
    const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    for (int i = 0; i < n; i++) put(receivers[i], head, sizeof head - 1);
    /* The load says how much comes; here the end is five seconds without a byte, or the sender's. */
    long long expected = argc > 2 ? atoll(argv[2]) : 0, passed = 0;
    while (rest > 0) {
      for (int i = 0; i < n; i++) put(receivers[i], body, rest);
      passed += rest;
      if (passed >= expected) break;
      body = buffer;
      rest = read(sender, buffer, sizeof buffer);
    }
    if (rest == 0)
      while (passed < expected && (rest = read(sender, buffer, sizeof buffer)) > 0) {
        for (int i = 0; i < n; i++) put(receivers[i], buffer, rest);
        passed += rest;
      }
    for (int i = 0; i < n; i++) close(receivers[i]);
    close(sender);
  }
}
