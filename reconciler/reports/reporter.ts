import {randomBytes} from 'node:crypto';
import type {Clock} from '../../runtime/platform/clock.ts';
import type {Log} from '../../runtime/platform/log.ts';
import {createSecretMask, type SecretMask} from '../../runtime/platform/secret-mask.ts';
import {branchName, forkName, wholeRepository} from '../../schemas/branch-name.ts';
import type {BranchRecord} from '../branch-record.ts';
import type {CommitChange, ComparedCommits} from '../commit-comparison.ts';
import type {PullRequest} from '../forge.ts';
import {retryDelayMs} from '../outcome.ts';
import {createQueue} from '../queue.ts';
import type {Source} from '../sources/source.ts';
import {commentMeaning, commentText, type DirectoryChange, isSilent} from './comment.ts';
import type {Outbox, OutboxEntry} from './outbox.ts';
import {commentTarget, digestOf, type Report, targetOf, type VerdictState} from './report.ts';
import type {Sender} from './sender.ts';
import {verdictOf, verdictTexts} from './verdict.ts';

export interface ReportPolicy {
  /** Of checks and statuses. */
  readonly name: string;
  readonly checks: boolean;
  readonly deployments: boolean;
  readonly comments: boolean;
}

/** A repository that is reported on. */
export interface ReportedRepository {
  readonly repository: string;
  /** `host/owner/name`. */
  readonly forgePath: string;
  readonly source: Source;
  /** Globs of its directories in a monorepo. */
  readonly paths: readonly string[] | null;
}

/**
 * Turns what is true of branches and pull requests into reports. It is told only that something may have changed and
 * reads the rest itself, so that a report that was lost on the way, or a controller that ended, costs nothing.
 */
export interface Reporter {
  branchChanged(key: string): void;
  /** The pull requests of a repository as they were just read; those that are not among them are as before. */
  pullRequestsRead(repository: string, pulls: readonly PullRequest[]): void;
  /** Looks at every branch that is known, and at every one that something was said of. */
  start(): void;
  /** Resolves when nothing waits to be looked at. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** What does not last is not said: most commits are active long before. */
const settleMs: Readonly<Record<VerdictState, number>> = {
  pending: 2000,
  success: 0,
  neutral: 0,
  failure: 0,
  error: 10_000,
};

const longestEnvironment = 255;

export function createReporter({
  repositories,
  policy,
  records,
  recordOf,
  standing,
  commitOf,
  compare,
  secretsOf,
  publicUrl,
  outbox,
  sender,
  clock,
  log,
  random,
}: {
  repositories: readonly ReportedRepository[];
  policy: ReportPolicy;
  records: () => Iterable<BranchRecord>;
  recordOf: (key: string) => BranchRecord | undefined;
  /** `readOnly`: another controller has the repository, and reports. */
  standing: (repository: string) => {readOnly: boolean; live: string | null};
  /** Commit of a branch in the last listing. */
  commitOf: (repository: string, branch: string) => string | null | undefined;
  /** What the head's files change against the base's. */
  compare: (source: Source, compared: ComparedCommits, signal: AbortSignal) => Promise<CommitChange>;
  /** Values that no report may hold. Throws where they cannot be read: what comes from git then waits. */
  secretsOf: (record: Pick<BranchRecord, 'repository' | 'branch' | 'live'>) => Promise<readonly string[]>;
  /** Without a final slash; null where the controller cannot be reached from outside. */
  publicUrl: string | null;
  outbox: Outbox;
  sender: Sender;
  clock: Clock;
  log: Log;
  random: () => number;
}): Reporter {
  const reported = new Map(repositories.map((one) => [one.repository, one]));
  const pulls = new Map<string, PullRequest>();
  /** By pull request: the commits of which the comment is known to speak. */
  const spokenOf = new Map<string, string>();
  const failures = new Map<string, number>();
  const pullItem = (repository: string, number: number) => `pull\0${repository}\0${number}`;
  const pageOf = (key: string | null) =>
    publicUrl === null ? null : `${publicUrl}/${key === null ? '' : `#${key}`}`;

  const put = async (report: Report, meaning: unknown, delayMs = 0): Promise<void> => {
    const nowMs = clock.now();
    const says = digestOf(meaning);
    const isNew = await outbox.put(report, {says, nowMs, notBeforeMs: nowMs + delayMs});
    if (isNew) sender.wake(targetOf(report), {first: report.kind !== 'comment' && report.live});
  };

  const maskFor = async (record: Parameters<typeof secretsOf>[0]): Promise<SecretMask> =>
    createSecretMask(await secretsOf(record));

  const lookAtBranch = async (key: string, signal: AbortSignal): Promise<void> => {
    const record = recordOf(key);
    const of = record === undefined ? undefined : reported.get(record.repository);
    if (record !== undefined && (of === undefined || standing(record.repository).readOnly)) return;
    const current = new Set<string>();
    if (record !== undefined && of !== undefined) {
      if (policy.checks) current.add(await reportVerdict(record, of, signal));
      if (policy.deployments) current.add(await reportDeployment(record, of));
    }
    for (const entry of outbox.ofKey(key)) if (!current.has(entry.target)) await endReport(entry, record);
  };

  /** Answers the place that it is about, or an empty text. */
  const reportVerdict = async (
    record: BranchRecord,
    of: ReportedRepository,
    signal: AbortSignal,
  ): Promise<string> => {
    const verdict = verdictOf(record);
    const {revision: commit, key, path, live} = record;
    if (verdict === null || commit === null) return '';
    const name = path === wholeRepository ? policy.name : `${policy.name}: ${path}`;
    const url = pageOf(key);
    const meaning = {verdict, name, url, branch: record.branch};
    const target = `verdict:${key}:${commit}`;
    if (outbox.get(target)?.says === digestOf(meaning)) return target;
    const isSettled = verdict.state === 'success' || verdict.state === 'neutral';
    const jobs = isSettled
      ? await compare(
          of.source,
          {base: {name: '', commit: null}, head: {name: record.branch, commit}, path},
          signal,
        )
      : null;
    const speaksOfGit = jobs !== null || verdict.quote !== null || verdict.issues.length > 0;
    const masked = speaksOfGit ? maskedOf(await maskFor(record), {verdict, jobs}) : {verdict, jobs};
    const {title, summary, warnings} = verdictTexts(masked.verdict, masked.jobs);
    await put(
      {
        kind: 'verdict',
        repository: of.forgePath,
        key,
        live,
        commit,
        name,
        state: verdict.state,
        title,
        summary,
        url,
        annotations: [
          ...masked.verdict.issues.map((issue) => ({...issue, level: 'failure' as const})),
          ...warnings.map((issue) => ({...issue, level: 'warning' as const})),
        ],
      },
      meaning,
      settleMs[verdict.state],
    );
    return target;
  };

  const reportDeployment = async (record: BranchRecord, of: ReportedRepository): Promise<string> => {
    const {key, live, applied, container_id, trashed_at, conditions, missing} = record;
    if (applied === null || container_id === null || trashed_at !== null || missing?.proven) return '';
    const target = `deployment:${key}:${applied.revision}`;
    // What is applied in part is named by the record already.
    const isWhole = conditions.some(({type, status}) => type === 'Ready' && status === 'True');
    if (!isWhole && outbox.get(target) === undefined) return keptDeployment(key) ?? '';
    const environment = environmentOf(record);
    const state = 'success' as const;
    const url = pageOf(key);
    const report = {repository: of.forgePath, key, live, commit: applied.revision, environment, state, url};
    await put({kind: 'deployment', ...report}, {state, url, environment});
    return target;
  };

  /** The one that stays until a newer commit is active. */
  const keptDeployment = (key: string): string | undefined =>
    outbox.ofKey(key).find(({report}) => report.kind === 'deployment' && report.state === 'success')?.target;

  /** What was said of an older commit, or of a branch that has gone, must not stay as if it were so. */
  const endReport = async (entry: OutboxEntry, record: BranchRecord | undefined): Promise<void> => {
    const {report, says, written, attempted} = entry;
    if (report.kind === 'comment') return;
    if (report.kind === 'deployment') {
      if (!attempted) return outbox.drop(entry.target, entry);
      if (report.state === 'inactive' || !policy.deployments) return;
      return put({...report, state: 'inactive', url: null}, {state: 'inactive'});
    }
    if (record?.revision === report.commit && !policy.checks) return;
    const isOpen = report.state === 'pending' || report.state === 'error';
    if (isOpen && (attempted || written !== null))
      return put(
        {
          ...report,
          state: 'neutral',
          title: 'It was not applied: the branch has moved on or is gone.',
          summary: 'It was not applied: the branch has moved on or is gone.',
          annotations: [],
        },
        {state: 'neutral', ended: true},
      );
    if (isOpen || says === written) await outbox.drop(entry.target, entry);
  };

  const lookAtPull = async (item: string, signal: AbortSignal): Promise<void> => {
    const pull = pulls.get(item);
    const [, repository = ''] = item.split('\0');
    const of = reported.get(repository);
    if (pull === undefined || of === undefined || standing(repository).readOnly) return;
    if (pull.state === 'closed') {
      pulls.delete(item);
      spokenOf.delete(item);
      return;
    }
    const [base, head] = [commitOf(repository, pull.base), commitOf(repository, pull.branch)];
    // The next listing has them, or the pull request goes too.
    if (base == null || head == null) return;
    const baseIsLive = standing(repository).live === pull.base;
    const left = await of.source.mergeBase(base, head, {signal});
    const isCurrent = left === base;
    const commits = JSON.stringify([left, head, isCurrent, pull.base, baseIsLive]);
    if (spokenOf.get(item) === commits) return;
    const known = outbox.get(commentTarget(of.forgePath, pull.number));
    const changes = await changesOf(of, {pull, left, head}, signal);
    if (known !== undefined || !changes.every(isSilent)) {
      const mask = await maskFor({repository, branch: pull.branch, live: false});
      const marker =
        known?.report.kind === 'comment'
          ? known.report.marker
          : `<!-- branchtab ${randomBytes(12).toString('hex')} -->`;
      const url = pageOf(null);
      const text = commentText(maskedOf(mask, changes), {base: pull.base, baseIsLive, isCurrent, url});
      await put(
        {
          kind: 'comment',
          repository: of.forgePath,
          pull_request: pull.number,
          marker,
          body: `${marker}\n${text}`,
        },
        {changes: commentMeaning(changes), isCurrent, base: pull.base, baseIsLive, url},
      );
    }
    spokenOf.set(item, commits);
  };

  const changesOf = async (
    {source, paths}: ReportedRepository,
    {pull, left, head}: {pull: PullRequest; left: string | null; head: string},
    signal: AbortSignal,
  ): Promise<DirectoryChange[]> => {
    const changes: DirectoryChange[] = [];
    for (const path of await directoriesOf(source, {paths, commits: [left, head], signal})) {
      const change = await compare(
        source,
        {
          base: {name: pull.base, commit: left},
          head: {name: pull.branch, commit: head},
          path,
        },
        signal,
      );
      changes.push({path, change});
    }
    return changes;
  };

  const work = async (item: string, signal: AbortSignal): Promise<void> => {
    try {
      await (item.startsWith('pull\0') ? lookAtPull(item, signal) : lookAtBranch(item, signal));
      failures.delete(item);
    } catch (error) {
      if (signal.aborted) return;
      const count = (failures.get(item) ?? 0) + 1;
      failures.set(item, count);
      log.warn('what is to be reported cannot be found out; it is tried again', {item, error});
      queue.addAfter(item, retryDelayMs(count, random()));
    }
  };

  const queue = createQueue({clock, concurrency: 1, work});

  return {
    branchChanged(key) {
      queue.add(key, {first: recordOf(key)?.live ?? false});
      const record = recordOf(key);
      if (!policy.comments || record === undefined) return;
      for (const [item, {branch, base}] of pulls)
        if (item.startsWith(`pull\0${record.repository}\0`) && [branch, base].includes(record.branch))
          queue.add(item);
    },
    pullRequestsRead(repository, read) {
      if (!policy.comments || !reported.has(repository)) return;
      for (const answer of read) {
        // The head's own name is the fork's business; it may be that of a branch here.
        const pull = answer.isFork ? {...answer, branch: forkName(answer.number)} : answer;
        const item = pullItem(repository, pull.number);
        if (pull.state === 'closed' && !pulls.has(item)) continue;
        pulls.set(item, pull);
        queue.add(item);
      }
    },
    start() {
      const spoken = outbox.all().flatMap(({report}) => (report.kind === 'comment' ? [] : [report.key]));
      for (const key of new Set([...[...records()].map(({key}) => key), ...spoken])) queue.add(key);
      for (const {target, says, written} of outbox.all()) if (says !== written) sender.wake(target);
    },
    idle: () => queue.idle(),
    close: () => queue.close(),
  };
}

function environmentOf({live, branch, path, key}: BranchRecord): string {
  const name = branchName({branch, path});
  const environment = live ? (path === wholeRepository ? 'live' : `live:${path}`) : `preview/${name}`;
  return environment.length <= longestEnvironment ? environment : `preview/${key}`;
}

async function directoriesOf(
  source: Source,
  {
    paths,
    commits,
    signal,
  }: {paths: readonly string[] | null; commits: readonly (string | null)[]; signal: AbortSignal},
): Promise<string[]> {
  if (paths === null) return [wholeRepository];
  const found: string[] = [];
  for (const commit of commits)
    if (commit !== null) found.push(...(await source.hoodyPaths(commit, {globs: paths, signal})).keys());
  return [...new Set(found)].sort();
}

/** Every text in it, without the values of secrets. */
function maskedOf<T>(mask: SecretMask, value: T): T {
  return JSON.parse(JSON.stringify(value), (_key, item: unknown) =>
    typeof item === 'string' ? mask.text(item) : item,
  ) as T;
}
