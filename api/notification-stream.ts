import type {FollowEvent} from '../runtime/notifications/following.ts';
import type {Connected, Heartbeat} from '../schemas/notification.ts';

/** What a follower gets, as server-sent events; `follow` is given the signal that ends it. */
export function notificationStream(follow: (signal: AbortSignal) => AsyncGenerator<FollowEvent>): Response {
  const left = new AbortController();
  const events = follow(left.signal);
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    // Reads on only as fast as the client does.
    async pull(stream) {
      const {value, done} = await events.next();
      if (done === true) stream.close();
      else stream.enqueue(encoder.encode(print(value)));
    },
    async cancel() {
      left.abort();
      // One that waits for a slow client, and not for news, does not see the signal.
      await events.return(undefined);
    },
  });
  return new Response(body, {headers: {'content-type': 'text/event-stream'}});
}

/** JSON has no line ends of its own, so that a message cannot end its event. */
function print(event: FollowEvent): string {
  switch (event.type) {
    case 'connected': {
      const {displays, lastId} = event;
      const data: Connected = {displays: displays === 'all' ? ['all'] : [...displays], last_id: lastId};
      // With an id: a client whose connection breaks before the first notification comes back to this place.
      return `id: ${lastId}\nevent: connected\ndata: ${JSON.stringify(data)}\n\n`;
    }
    case 'notification':
      return `id: ${event.notification.id}\nevent: notification\ndata: ${JSON.stringify(event.notification)}\n\n`;
    case 'heartbeat':
      return `event: heartbeat\ndata: ${JSON.stringify({at: new Date(event.atMs).toISOString()} satisfies Heartbeat)}\n\n`;
  }
}
