import type {FollowEvent} from '../runtime/notifications/following.ts';
import type {Connected, Heartbeat} from '../schemas/notification.ts';

/** JSON has no line ends of its own, so that a message cannot end its event. */
export function printFollowEvent(event: FollowEvent): string {
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
