import type {Clock} from '../../runtime/platform/clock.ts';
import type {Log} from '../../runtime/platform/log.ts';
import type {ReportsStatus} from '../../schemas/delivery.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Forge} from '../forge.ts';
import {retryDelayMs} from '../outcome.ts';
import {createQueue} from '../queue.ts';
import type {Outbox, OutboxEntry} from './outbox.ts';
import type {Report, VerdictReport} from './report.ts';

/** Brings what the outbox holds to the forge, one write at a time; nobody waits for it. */
export interface Sender {
  /** The place of a report may be written now. */
  wake(target: string, options?: {first?: boolean}): void;
  status(): ReportsStatus;
  /** Resolves when nothing is due that could be sent now. */
  idle(): Promise<void>;
  /** Lets the request in hand end, as far as its signal lets it. */
  close(): Promise<void>;
}

/** What the forge refuses is asked again no sooner: a person has to do something first. */
const refusedDelayMs = 10 * 60_000;
/** What it refuses for so long is given up until something else is to be said there. */
const longestRefusedMs = 24 * 60 * 60_000;

export function createSender({
  forge,
  outbox,
  clock,
  log,
  random,
}: {
  forge: Forge;
  outbox: Outbox;
  clock: Clock;
  log: Log;
  random: () => number;
}): Sender {
  const failures = new Map<string, number>();
  let problem: string | null = null;

  const send = async (entry: OutboxEntry, signal: AbortSignal): Promise<void> => {
    const {target, report, says, id: known} = entry;
    const {repository} = report;
    switch (report.kind) {
      case 'verdict': {
        const id = await sendVerdict(report, known, signal);
        return outbox.written(target, {says, id});
      }
      case 'deployment': {
        const {commit, environment, live, url, state} = report;
        const deployment = {commit, environment, description: 'Branchtab', isTransient: !live};
        const make = state !== 'inactive';
        const id = known ?? (await forge.putDeployment(repository, deployment, {make, signal}));
        if (id !== null)
          await forge.setDeploymentState(
            repository,
            id,
            {state, description: deploymentWords[state], environmentUrl: url},
            {signal},
          );
        return state === 'inactive' ? outbox.drop(target, {says}) : outbox.written(target, {says, id});
      }
      case 'comment': {
        const {pull_request: pullRequest, marker, body} = report;
        const comment = {pullRequest, marker, body};
        const id = await forge.putComment(repository, comment, {id: known, signal});
        return outbox.written(target, {says, id});
      }
      default:
        return report satisfies never;
    }
  };

  const sendVerdict = async (
    {repository, commit, key, name, state, title, summary, url, annotations}: VerdictReport,
    id: number | null,
    signal: AbortSignal,
  ): Promise<number | null> => {
    if (forge.writesChecks) {
      const conclusion = conclusions[state];
      const check = {name, externalId: key, conclusion, title, summary, detailsUrl: url, annotations};
      return forge.putCheck(repository, commit, check, {id, signal});
    }
    const status = {context: name, state: statusStates[state], description: title, targetUrl: url};
    await forge.setStatus(repository, commit, status, {signal});
    return null;
  };

  const work = async (target: string, signal: AbortSignal): Promise<void> => {
    const entry = outbox.get(target);
    if (entry === undefined || entry.written === entry.says) return;
    const earlyMs = entry.not_before - clock.now();
    if (earlyMs > 0) {
      queue.addAfter(target, earlyMs);
      return;
    }
    outbox.attempt(target);
    try {
      await send(entry, signal);
      failures.delete(target);
      problem = null;
    } catch (error) {
      if (signal.aborted) return;
      await later(entry, error);
    }
  };

  const later = async (entry: OutboxEntry, error: unknown): Promise<void> => {
    const {target, changed_at, report} = entry;
    const count = (failures.get(target) ?? 0) + 1;
    failures.set(target, count);
    const message = error instanceof Error ? error.message : String(error);
    if (problem !== message) log.warn('a report cannot be written; it is tried again', {target, error});
    problem = message;
    const isRefused = error instanceof AppError && error.code === 'FORGE_REFUSED';
    if (isRefused && clock.now() - changed_at > longestRefusedMs) {
      log.warn('a report was refused for a day and is given up', {target, repository: report.repository});
      failures.delete(target);
      await outbox.drop(target, entry);
      return;
    }
    const askedForMs = error instanceof AppError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
    const leastMs = Math.max(askedForMs, isRefused ? refusedDelayMs : 0);
    queue.addAfter(target, Math.max(leastMs, retryDelayMs(count, random())));
  };

  const queue = createQueue({clock, concurrency: 1, work});

  return {
    wake: (target, options) => queue.add(target, options),
    status: () => ({
      waiting: outbox.all().filter(({says, written}) => says !== written).length,
      problem,
    }),
    idle: () => queue.idle(),
    close: () => queue.close(),
  };
}

const deploymentWords: Readonly<Record<Extract<Report, {kind: 'deployment'}>['state'], string>> = {
  success: 'The schedule of this commit runs.',
  inactive: 'The schedule of this commit runs no more.',
};

const conclusions = {
  pending: null,
  success: 'success',
  neutral: 'neutral',
  failure: 'failure',
  error: 'failure',
} as const;

/** A status knows no neutral end; nothing is wrong with the commit. */
const statusStates = {
  pending: 'pending',
  success: 'success',
  neutral: 'success',
  failure: 'failure',
  error: 'error',
} as const;
