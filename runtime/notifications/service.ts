import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import type {Notification, NotifyRequest} from '../../schemas/notification.ts';
import type {Clock} from '../platform/clock.ts';
import {mkdir} from '../platform/files.ts';
import {createFollowing, type FollowEvent} from './following.ts';
import {
  type Displays,
  type NotificationFilter,
  type NotificationStore,
  openNotificationStore,
} from './notification-store.ts';

export interface NotificationLimits {
  /** Of one inbox; the oldest go. */
  readonly keptPerInbox: number;
  readonly ageMs: number;
  /** Inboxes that hold something. */
  readonly inboxes: number;
  readonly perMinuteAndInbox: number;
  readonly followers: number;
}

const usualLimits: NotificationLimits = {
  keptPerInbox: 500,
  ageMs: 30 * 24 * 60 * 60_000,
  inboxes: 100,
  perMinuteAndInbox: 60,
  followers: 100,
};

export interface NotificationOptions {
  /** Ours alone. */
  readonly directory: string;
  readonly clock: Clock;
  /** Where a notification without words comes from, in words: a branch or a container. */
  readonly origin: () => string;
  readonly limits?: Partial<NotificationLimits>;
}

/** Inboxes of one container: a person or a screen each. All methods throw AppError. */
export interface NotificationService {
  /** Stored durably and on its way to all who follow the inbox. Throws RATE_LIMITED or TOO_MANY_INBOXES. */
  notify(request: NotifyRequest): Notification;
  list(filter: Omit<NotificationFilter, 'sinceMs'> & {readonly sinceMs: number | null}): Notification[];
  /** Names of inboxes that hold something. */
  displays(): string[];
  /** Removes these notifications, or with null all of `displays`. Returns how many there were. */
  dismiss(displays: Displays, ids: readonly number[] | null): number;
  /**
   * What comes in, from the one after `afterId` on, or from now on. The reader sets the pace and misses nothing that
   * is kept. Ends when `signal` aborts. Throws RATE_LIMITED.
   */
  follow(
    displays: Displays,
    options: {afterId: number | null; signal: AbortSignal},
  ): AsyncGenerator<FollowEvent>;
  origin(): string;
  /** Ends the followers; the service cannot be used any more. */
  close(): void;
}

const minuteMs = 60_000;

/** Throws STATE_UNREADABLE where the file is damaged, and SQLite's errors. */
export async function openNotifications(options: NotificationOptions): Promise<NotificationService> {
  const {directory, clock, origin} = options;
  const limits = {...usualLimits, ...options.limits};
  await mkdir(directory, {recursive: true, mode: 0o700});
  const store = open(join(directory, 'notifications.db'));
  const following = createFollowing({store, clock, mostFollowers: limits.followers, oldestMs});

  function oldestMs(): number {
    return clock.now() - limits.ageMs;
  }

  function checkRate(display: string): void {
    const nowMs = clock.now();
    const {perMinuteAndInbox: most} = limits;
    const passedMs = nowMs - (store.createdMsOf(display, most, nowMs) ?? 0);
    if (passedMs >= minuteMs) return;
    const retryAfterSeconds = Math.ceil((minuteMs - passedMs) / 1000);
    throw new AppError(
      'RATE_LIMITED',
      `${display} has had ${most} notifications within a minute. Try again in ${retryAfterSeconds} s, and say more with fewer.`,
      {retryAfterSeconds},
    );
  }

  function checkRoom(display: string): void {
    if (!store.isEmpty(display) || store.displays(oldestMs()).length < limits.inboxes) return;
    throw new AppError(
      'TOO_MANY_INBOXES',
      `There is no inbox ${display} yet, and ${limits.inboxes} others hold notifications. Dismiss those of one that nobody reads, or use an existing name.`,
    );
  }

  return {
    notify(request) {
      const {display} = request;
      checkRate(display);
      store.trim({beforeMs: oldestMs(), display, kept: limits.keptPerInbox - 1});
      checkRoom(display);
      const notification = store.add(request, clock.now());
      following.wake(display);
      return notification;
    },
    list: ({sinceMs, ...filter}) => store.list({...filter, sinceMs: Math.max(sinceMs ?? 0, oldestMs())}),
    displays: () => store.displays(oldestMs()),
    dismiss: store.remove,
    follow: following.follow,
    origin,
    close() {
      following.end();
      store.close();
    },
  };
}

function open(path: string): NotificationStore {
  try {
    return openNotificationStore(path);
  } catch (error) {
    if (!isDamage(error)) throw error;
    throw new AppError(
      'STATE_UNREADABLE',
      `${path} is damaged: ${error.message}. Restore it, or remove it to start with empty inboxes.`,
      {cause: error},
    );
  }
}

function isDamage(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && /^SQLITE_(?:NOTADB|CORRUPT)/.test(String(error.code));
}
