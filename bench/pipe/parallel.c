/*
 * Many transfers at once, by one thread that waits for nobody: `parallel <port> <transfers> <bytes>`. Each has a sender and
 * a receiver of its own. At most 100 pairs wait for the server's first word, which keeps its queue of connections from
 * running over. Prints the seconds from the first connection until every receiver has all and every sender its answer.
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

struct end { int fd, is_sender, greeted; long long bytes; };

static int epoll, port;

static void dial(struct end *end, const char *head, int length) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0) die("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (write(fd, head, length) != length) die("write");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  end->fd = fd;
  struct epoll_event event = {.events = EPOLLIN | (end->is_sender ? EPOLLOUT : 0), .data.ptr = end};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv) {
  if (argc != 4) { fprintf(stderr, "usage: parallel <port> <transfers> <bytes>\n"); return 2; }
  port = atoi(argv[1]);
  int transfers = atoi(argv[2]), begun = 0, greeted = 0, open = transfers * 2;
  long long total = atoll(argv[3]);
  char *body = malloc(total), head[256], scratch[65536];
  memset(body, 'x', total);
  struct end *ends = calloc(transfers * 2, sizeof *ends);
  epoll = epoll_create1(0);
  struct epoll_event events[256];
  double start = now();
  while (open > 0) {
    for (; begun < transfers && begun - greeted < 100; begun++) {
      struct end *receiver = &ends[begun * 2], *sender = receiver + 1;
      sender->is_sender = 1;
      int length = snprintf(head, sizeof head, "GET /parallel-%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", begun);
      dial(receiver, head, length);
      length = snprintf(head, sizeof head, "PUT /parallel-%d HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %lld\r\n\r\n", begun, total);
      dial(sender, head, length);
    }
    int count = epoll_wait(epoll, events, 256, 20000);
    if (count <= 0) { fprintf(stderr, "nothing moves; %d connections are open\n", open); return 1; }
    for (int e = 0; e < count; e++) {
      struct end *end = events[e].data.ptr;
      if ((events[e].events & EPOLLOUT) && end->bytes < total) {
        ssize_t w = write(end->fd, body + end->bytes, total - end->bytes);
        if (w < 0 && errno != EAGAIN) die("send");
        if (w > 0) end->bytes += w;
        if (end->bytes == total) {
          struct epoll_event quiet = {.events = EPOLLIN, .data.ptr = end};
          epoll_ctl(epoll, EPOLL_CTL_MOD, end->fd, &quiet);
        }
      }
      if (!(events[e].events & ~EPOLLOUT)) continue;
      int is_head = end->is_sender || end->bytes == 0;
      ssize_t r = is_head ? recv(end->fd, scratch, sizeof scratch, 0) : recv(end->fd, NULL, 8 << 20, MSG_TRUNC);
      if (r < 0 && errno != EAGAIN) die("recv");
      if (r > 0 && end->is_sender && !end->greeted) { end->greeted = 1; greeted++; }
      if (r > 0 && !end->is_sender) end->bytes += r;
      if (r != 0) continue;
      if (end->bytes < total) { fprintf(stderr, "an end moved %lld of %lld bytes\n", end->bytes, total); return 1; }
      close(end->fd);
      open--;
    }
  }
  printf("%.6f\n", now() - start);
  return 0;
}
