/*
 * What many transfers at once cost at least: `pairs` gives each PUT of `/parallel-<number>` to the GET of the same number by
 * `splice`, in one thread and without HTTP beyond an empty head, and serves nothing else. Prints its port.
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
#include <unistd.h>

#define MOST 1024
#define PIECE (1 << 20)

struct end { int fd, number, is_sender; };
struct pair { struct end *sender, *receiver; long long left; };

static struct pair pairs[MOST];
static int epoll, into, out_of;

static void die(const char *what) { perror(what); exit(1); }

static void put(int fd, const char *text) { if (write(fd, text, strlen(text)) < 0) die("write"); }

static void leave(struct end *end) { close(end->fd); free(end); }

static void move(struct pair *pair) {
  while (pair->left > 0) {
    ssize_t came = splice(pair->sender->fd, NULL, into, NULL, pair->left < PIECE ? pair->left : PIECE, SPLICE_F_NONBLOCK);
    if (came < 0 && errno == EAGAIN) return;
    if (came <= 0) die("splice");
    pair->left -= came;
    for (ssize_t went; came > 0; came -= went)
      if ((went = splice(out_of, NULL, pair->receiver->fd, NULL, came, 0)) <= 0) die("splice");
  }
  put(pair->sender->fd, "done\n");
  leave(pair->sender);
  leave(pair->receiver);
  *pair = (struct pair){0};
}

/* Takes the head alone, so that the body stays in the kernel. */
static void begin(struct end *end) {
  static char head[4096];
  ssize_t length = recv(end->fd, head, sizeof head - 1, MSG_PEEK);
  head[length < 0 ? 0 : length] = 0;
  char *last = strstr(head, "\r\n\r\n"), *path = strstr(head, "/parallel-"), *size = strstr(head, "Content-Length: ");
  if (last == NULL || path == NULL || recv(end->fd, head, last + 4 - head, 0) < 0) die("head");
  end->number = atoi(path + strlen("/parallel-"));
  if (end->number < 0 || end->number >= MOST) die("number");
  struct pair *pair = &pairs[end->number];
  end->is_sender = size != NULL;
  if (end->is_sender) {
    pair->sender = end;
    pair->left = atoll(size + strlen("Content-Length: "));
  } else {
    pair->receiver = end;
    // It waits for a receiver that is behind, which those of this load never are for long.
    fcntl(end->fd, F_SETFL, 0);
  }
  if (pair->sender == NULL || pair->receiver == NULL) return;
  put(pair->receiver->fd, "HTTP/1.1 200 OK\r\n\r\n");
  put(pair->sender->fd, "HTTP/1.1 200 OK\r\n\r\n");
  move(pair);
}

int main(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, ends[2];
  struct sockaddr_in at = {.sin_family = AF_INET};
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (bind(listener, (struct sockaddr *)&at, size) < 0 || listen(listener, 1024) < 0) die("listen");
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  if (pipe2(ends, O_NONBLOCK) < 0 || fcntl(ends[1], F_SETPIPE_SZ, PIECE) < 0) die("pipe");
  out_of = ends[0];
  into = ends[1];
  epoll = epoll_create1(0);
  struct epoll_event events[256], event = {.events = EPOLLIN};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    int count = epoll_wait(epoll, events, 256, -1);
    for (int e = 0; e < count; e++) {
      struct end *end = events[e].data.ptr;
      if (end == NULL) {
        for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          end = calloc(1, sizeof *end);
          *end = (struct end){.fd = fd, .number = -1};
          event = (struct epoll_event){.events = EPOLLIN, .data.ptr = end};
          epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        }
      } else if (end->number < 0) begin(end);
      // A receiver sends nothing more; a sender before its receiver waits.
      else if (end->is_sender && pairs[end->number].receiver != NULL) move(&pairs[end->number]);
    }
  }
}
