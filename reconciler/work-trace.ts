import {parseCrontab} from '../schemas/crontab.ts';
import type {FilesRead, JournalEvent, JournalStep} from '../schemas/journal.ts';
import type {Action} from '../schemas/plan.ts';
import type {BranchRecord} from './branch-record.ts';
import type {ObservedRef} from './observation.ts';

type Worked = Extract<JournalEvent, {kind: 'worked'}>;

/** What one look at a branch found and did, for its journal. */
export interface WorkTrace {
  onRead(ref: ObservedRef): void;
  onPlan(plan: readonly Action[]): void;
  onTaken(action: Action, tookMs: number): void;
  /** Null where nothing was done and nothing is different from what the branch said `before`. */
  event(record: BranchRecord, end: TraceEnd): Worked | null;
}

export interface TraceEnd {
  readonly outcome: Worked['outcome'];
  readonly verified: boolean;
  readonly activeMs: number | null;
  readonly retryAtMs: number | null;
  readonly nowMs: number;
  /** A person asked for it. */
  readonly isAsked: boolean;
}

/** `revision` and what the branch says of itself are those at the beginning of the work. */
export function createWorkTrace({revision: tip, conditions}: BranchRecord, startedMs: number): WorkTrace {
  const before = conditions.find(({type}) => type === 'Ready')?.message;
  const steps: JournalStep[] = [];
  let revision = tip;
  let read: FilesRead | null = null;
  let left: string[] = [];

  return {
    onRead(ref) {
      if (ref.kind !== 'present') return;
      read = filesRead(ref.files);
      revision = ref.files.commit;
    },
    onPlan(plan) {
      left = plan.map(({summary}) => summary);
    },
    onTaken({kind, reason, summary}, tookMs) {
      left = left.filter((each) => each !== summary);
      steps.push({kind, reason, summary, took_ms: tookMs});
    },
    event(record, {outcome, verified, activeMs, retryAtMs, nowMs, isAsked}) {
      const ready = record.conditions.find(({type}) => type === 'Ready');
      const superseded = outcome === 'superseded';
      if (steps.length === 0 && !isAsked && !superseded && ready?.message === before) return null;
      return {
        kind: 'worked',
        at: new Date(nowMs).toISOString(),
        revision,
        outcome,
        reason: superseded ? 'superseded' : (ready?.reason ?? 'unknown'),
        message: superseded ? 'A newer commit took over.' : (ready?.message ?? ''),
        issues: outcome === 'stalled' ? issuesOf(record) : [],
        read,
        steps,
        left,
        verified,
        active_ms: activeMs,
        duration_ms: nowMs - startedMs,
        retry_at: retryAtMs === null ? null : new Date(retryAtMs).toISOString(),
      };
    },
  };
}

function issuesOf({conditions}: BranchRecord): Worked['issues'] {
  return conditions.find(({type}) => type === 'Stalled')?.issues ?? [];
}

function filesRead({crontabs, scripts}: Extract<ObservedRef, {kind: 'present'}>['files']): FilesRead {
  const jobs = crontabs.reduce(
    (sum, {file, text}) => sum + parseCrontab(text, {file, managedAllowed: false}).jobs.length,
    0,
  );
  return {crontabs: crontabs.length, jobs, scripts: scripts.length};
}
