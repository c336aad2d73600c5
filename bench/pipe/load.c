/*
 * A sender and n receivers that cost as little as clients can: `load <port> <path> <n> <bytes> <length|chunked> <host>`.
 * Receivers throw bytes away in the kernel. Prints seconds from the first received byte to the last one's end of all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) { perror(what); exit(1); }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int dial(int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static void say(int fd, const char *text, size_t length) {
  if (write(fd, text, length) != (ssize_t)length) die("write");
}

#define PIECE (1 << 20)

int main(int argc, char **argv) {
  if (argc != 7) { fprintf(stderr, "usage: load <port> <path> <n> <bytes> <length|chunked> <host>\n"); return 2; }
  const char *host = argv[6];
  int port = atoi(argv[1]), n = atoi(argv[3]);
  long long total = atoll(argv[4]), left = total;
  int chunked = strcmp(argv[5], "chunked") == 0;
  char head[512];
  int epoll = epoll_create1(0);
  long long *got = calloc(n + 1, sizeof *got);
  int *fds = calloc(n + 1, sizeof *fds);
  for (int i = 0; i < n; i++) {
    fds[i] = dial(port);
    int length = snprintf(head, sizeof head, "GET %s?n=%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", argv[2], n, host);
    say(fds[i], head, length);
    fcntl(fds[i], F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
  }
  usleep(300000);
  int sender = fds[n] = dial(port);
  int length = chunked
    ? snprintf(head, sizeof head, "PUT %s?n=%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n", argv[2], n, host)
    : snprintf(head, sizeof head, "PUT %s?n=%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Length: %lld\r\n\r\n", argv[2], n, host, total);
  say(sender, head, length);
  fcntl(sender, F_SETFL, O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = n};
  epoll_ctl(epoll, EPOLL_CTL_ADD, sender, &event);

  /* One buffer holds a piece with its chunk framing around it. */
  char *buffer = malloc(PIECE + 64);
  int prefix = chunked ? snprintf(buffer, 32, "%x\r\n", PIECE) : 0;
  memset(buffer + prefix, 'x', PIECE);
  int framed = prefix + PIECE;
  if (chunked) { memcpy(buffer + framed, "\r\n", 2); framed += 2; }
  int offset = 0, ended = 0, open_receivers = n;
  double start = 0, end = 0;
  char scratch[65536];
  struct epoll_event events[64];
  while (open_receivers > 0) {
    int count = epoll_wait(epoll, events, 64, 20000);
    if (count <= 0) { fprintf(stderr, "nothing moves; %lld bytes left to send\n", left); return 1; }
    for (int e = 0; e < count; e++) {
      unsigned i = events[e].data.u32;
      if ((int)i == n) {
        if (events[e].events & EPOLLIN) {
          ssize_t r = read(sender, scratch, sizeof scratch);
          if (r > 0 && getenv("LOAD_LOG")) fwrite(scratch, 1, r, stderr);
          if (r == 0) { epoll_ctl(epoll, EPOLL_CTL_DEL, sender, NULL); ended = 2; continue; }
        }
        while ((events[e].events & EPOLLOUT) && left > 0) {
          long long wanted = !chunked && left < framed - offset ? left : framed - offset;
          ssize_t w = write(sender, buffer + offset, wanted);
          if (w < 0) { if (errno == EAGAIN) break; die("send"); }
          offset += w;
          if (!chunked) left -= w;
          if (offset == framed) { offset = 0; if (chunked) left -= PIECE; }
        }
        if (left <= 0 && !ended) {
          if (chunked) say(sender, "0\r\n\r\n", 5);
          ended = 1;
          struct epoll_event quiet = {.events = EPOLLIN, .data.u32 = n};
          epoll_ctl(epoll, EPOLL_CTL_MOD, sender, &quiet);
        }
        continue;
      }
      for (;;) {
        ssize_t r = got[i] == 0 ? recv(fds[i], scratch, sizeof scratch, 0) : recv(fds[i], NULL, 8 << 20, MSG_TRUNC);
        if (r < 0) { if (errno == EAGAIN) break; die("recv"); }
        if (r == 0) { epoll_ctl(epoll, EPOLL_CTL_DEL, fds[i], NULL); open_receivers--; end = now(); break; }
        if (start == 0) start = now();
        got[i] += r;
        if (got[i] < 65536) continue;
        break;
      }
    }
  }
  for (int i = 0; i < n; i++)
    if (got[i] < total) { fprintf(stderr, "receiver %d got %lld of %lld\n", i, got[i], total); return 1; }
  printf("%.6f\n", end - start);
  return 0;
}
