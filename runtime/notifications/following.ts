import {AppError} from '../../schemas/errors.ts';
import type {Notification} from '../../schemas/notification.ts';
import type {Clock} from '../platform/clock.ts';
import type {Displays, NotificationStore} from './notification-store.ts';

export type FollowEvent =
  /** First; a reader that comes back after `lastId` misses nothing. */
  | {readonly type: 'connected'; readonly displays: Displays; readonly lastId: number}
  | {readonly type: 'notification'; readonly notification: Notification}
  /** Nothing came for a while. */
  | {readonly type: 'heartbeat'; readonly atMs: number};

export interface Following {
  follow(
    displays: Displays,
    options: {afterId: number | null; signal: AbortSignal},
  ): AsyncGenerator<FollowEvent>;
  /** Something has come in for this inbox. */
  wake(display: string): void;
  /** Ends all followers. */
  end(): void;
}

const heartbeatMs = 15_000;
const batchSize = 50;

/**
 * Followers read the store on from where they are, so that a slow one costs no memory and one that comes back goes
 * the same way as one that never left.
 */
export function createFollowing({
  store,
  clock,
  mostFollowers,
  oldestMs,
}: {
  store: NotificationStore;
  clock: Clock;
  mostFollowers: number;
  /** Epoch ms; what is older is not delivered any more. */
  oldestMs: () => number;
}): Following {
  const followers = new Set<{readonly displays: Displays; wake(): void}>();
  const ended = new AbortController();

  async function* events(
    displays: Displays,
    {afterId, signal}: {afterId: number | null; signal: AbortSignal},
  ): AsyncGenerator<FollowEvent> {
    const newestId = store.newestId();
    // An id from before the inboxes were lost would wait for the future.
    let lastId = Math.min(afterId ?? newestId, newestId);
    let woken = new AbortController();
    const wake = () => woken.abort();
    const follower = {displays, wake};
    followers.add(follower);
    signal.addEventListener('abort', wake);
    ended.signal.addEventListener('abort', wake);
    const isOver = () => signal.aborted || ended.signal.aborted;
    try {
      yield {type: 'connected', displays, lastId};
      while (!isOver()) {
        woken = new AbortController();
        const batch = store.list({displays, afterId: lastId, sinceMs: oldestMs(), limit: batchSize});
        for (const notification of batch) {
          lastId = notification.id;
          yield {type: 'notification', notification};
          if (isOver()) return;
        }
        if (batch.length > 0) continue;
        const isQuiet = await clock.sleep(heartbeatMs, {signal: woken.signal}).then(
          () => true,
          () => false,
        );
        if (isQuiet) yield {type: 'heartbeat', atMs: clock.now()};
      }
    } finally {
      followers.delete(follower);
      signal.removeEventListener('abort', wake);
      ended.signal.removeEventListener('abort', wake);
    }
  }

  return {
    follow(displays, options) {
      if (followers.size < mostFollowers) return events(displays, options);
      throw new AppError(
        'RATE_LIMITED',
        `${mostFollowers} streams are open. Close one, or read the inbox now and then instead.`,
        {retryAfterSeconds: Math.ceil(heartbeatMs / 1000)},
      );
    },
    wake(display) {
      for (const {displays, wake} of followers) if (displays === 'all' || displays.includes(display)) wake();
    },
    end: () => ended.abort(),
  };
}
