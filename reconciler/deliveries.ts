import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {forkName} from '../schemas/branch-name.ts';
import type {Delivery, ForgeNews, NewsSubject} from '../schemas/delivery.ts';
import {AppError} from '../schemas/errors.ts';
import {type Announcements, createAnnouncements} from './announcements.ts';
import type {DeliveryLog} from './delivery-log.ts';

/** What webhooks bring, remembered and turned into looks at repositories; nothing else comes of it. */
export interface Deliveries {
  /** Resolves when it is on disk. One that came before is answered as it was then, and nothing is done again. */
  accept(news: ForgeNews): Promise<{delivery: Delivery; isNew: boolean}>;
  /** Throws DELIVERY_NOT_FOUND. */
  get(id: string): Delivery;
  /** Newest first. */
  newest(count: number): Delivery[];
  /** Resolves when no delivery waits for its repository. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** A repository that deliveries may be about. */
export interface DeliverableRepository {
  readonly repository: string;
  /** `host/owner/name` by which its forge calls it; null where that is not known. */
  readonly forgePath: string | null;
  /** Pull requests of forks may be served. */
  readonly servesForks: boolean;
}

export function createDeliveries({
  repositories,
  look,
  commitOf,
  skip,
  toldGone,
  onPullRequest,
  onFork,
  deliveryLog,
  clock,
  log,
}: {
  repositories: readonly DeliverableRepository[];
  /** Lists the repository again, in a look that begins after the call, because of that delivery. */
  look: (repository: string, id: string) => Promise<void>;
  commitOf: (repository: string, branch: string) => string | null | undefined;
  /** The commit is about to be pushed and not to run. */
  skip: (repository: string, branch: string, commit: string) => void;
  /** The forge says that the branch was deleted. */
  toldGone: (repository: string, branch: string) => void;
  /** A pull request of the repository is not as it was, or may not be. */
  onPullRequest: (repository: string) => void;
  /** The same of a fork. Resolves when the forge was asked and the repository looked at. */
  onFork: (repository: string, news: Extract<NewsSubject, {kind: 'fork'}> & {forge: string}) => Promise<void>;
  deliveryLog: DeliveryLog;
  clock: Clock;
  log: Log;
}): Deliveries {
  const ended = new AbortController();
  const announcements = new Map<string, Announcements>(
    repositories.map(({repository}) => [
      repository,
      createAnnouncements({
        repository: {look: (id) => look(repository, id), commitOf: (branch) => commitOf(repository, branch)},
        clock,
        signal: ended.signal,
      }),
    ]),
  );
  const pending = new Set<Promise<void>>();

  const isNamed = ({repository, forgePath}: DeliverableRepository, {repositories: named}: ForgeNews) =>
    named.includes(repository) || (forgePath !== null && named.includes(forgePath));

  const watchedBy = (news: ForgeNews): string[] =>
    repositories
      .filter((one) => isNamed(one, news))
      .filter(({servesForks}) => servesForks || news.subject.kind !== 'fork')
      .map(({repository}) => repository);

  const reasonOf = (news: ForgeNews, watched: readonly string[]): Delivery['reason'] => {
    const {subject} = news;
    if (subject.kind === 'nothing') return subject.why;
    if (watched.length > 0) return subject.kind === 'skip' ? 'skip' : 'queued';
    return subject.kind === 'fork' && repositories.some((one) => isNamed(one, news))
      ? 'fork'
      : 'repository_unwatched';
  };

  const saved = (delivery: Delivery) =>
    deliveryLog.save(delivery).catch((error: unknown) => {
      log.error('a webhook delivery could not be recorded', {delivery: delivery.id, error});
      throw error;
    });

  const tell = async (delivery: Delivery, subject: NewsSubject): Promise<void> => {
    const {branch, commit} =
      subject.kind === 'branch' || subject.kind === 'pull_request'
        ? subject
        : {branch: null, commit: undefined};
    const announcement = {id: delivery.id, branch, commit};
    await Promise.all(
      delivery.watched.map((repository) =>
        subject.kind === 'fork'
          ? onFork(repository, {...subject, forge: delivery.forge})
          : announcements.get(repository)?.tell(announcement),
      ),
    );
    if (ended.signal.aborted) return;
    if (subject.kind === 'pull_request') for (const repository of delivery.watched) onPullRequest(repository);
    const [first = ''] = delivery.watched;
    const found = delivery.branch === null ? null : (commitOf(first, delivery.branch) ?? null);
    await saved({...delivery, looked_at: new Date(clock.now()).toISOString(), found});
  };

  return {
    async accept(news) {
      const known = deliveryLog.get(news.delivery);
      if (known !== undefined) return {delivery: known, isNew: false};
      const {subject} = news;
      const watched = subject.kind === 'nothing' ? [] : watchedBy(news);
      if (subject.kind === 'branch' && subject.commit === null)
        for (const repository of watched) toldGone(repository, subject.branch);
      if (subject.kind === 'skip')
        for (const repository of watched) skip(repository, subject.branch, subject.commit);
      const delivery: Delivery = {
        id: news.delivery,
        forge: news.forge,
        event: news.event,
        action: news.action,
        received_at: new Date(clock.now()).toISOString(),
        repository: news.repositories[0] ?? null,
        ...aboutOf(subject),
        outcome: watched.length > 0 ? 'accepted' : 'ignored',
        reason: reasonOf(news, watched),
        watched,
        looked_at: null,
        found: null,
      };
      const write = saved(delivery);
      if (watched.length > 0 && subject.kind !== 'skip') {
        const work = tell(delivery, subject).catch((error: unknown) => {
          log.warn('what a webhook told could not be followed; the next poll does', {id: delivery.id, error});
        });
        pending.add(work);
        void work.finally(() => pending.delete(work));
      }
      await write;
      return {delivery, isNew: true};
    },
    get(id) {
      const known = deliveryLog.get(id);
      if (known !== undefined) return known;
      throw new AppError(
        'DELIVERY_NOT_FOUND',
        `No delivery ${JSON.stringify(id.slice(0, 100))} is known; the last ones are listed by: branchtab deliveries`,
      );
    },
    newest: (count) => deliveryLog.newest(count),
    async settled() {
      while (pending.size > 0) await Promise.all(pending);
    },
    async close() {
      ended.abort(new Error('the controller stops'));
      await Promise.all(pending);
      await deliveryLog.close();
    },
  };
}

function aboutOf(subject: NewsSubject): Pick<Delivery, 'branch' | 'commit' | 'pull_request'> {
  switch (subject.kind) {
    case 'branch':
    case 'skip':
      return {branch: subject.branch, commit: subject.commit ?? null, pull_request: null};
    case 'pull_request':
      return {branch: subject.branch, commit: subject.commit ?? null, pull_request: subject.number};
    case 'fork':
      return {branch: forkName(subject.number), commit: subject.commit, pull_request: subject.number};
    default:
      return {branch: null, commit: null, pull_request: null};
  }
}
