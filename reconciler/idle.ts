import type {BranchRecord} from './branch-record.ts';

/** How long a preview may go without a push, in ms; null for any time. */
export interface IdleLimits {
  readonly pauseAfterMs: number | null;
  readonly removeAfterMs: number | null;
}

type IdleFacts = Pick<BranchRecord, 'branch' | 'seen_at' | 'released_at' | 'pause'>;

/** Shown so long before, of limits below twelve days for their last quarter. A preview is paused at least so long before it is removed. */
const longestNoticeMs = 3 * 86_400_000;

function noticeMs(limitMs: number): number {
  return Math.min(longestNoticeMs, limitMs / 4);
}

/** Epoch ms at which it is paused and removed unless somebody pushes; null for never. */
function endsOf(
  {seen_at, released_at, pause}: IdleFacts,
  {pauseAfterMs, removeAfterMs}: IdleLimits,
): {pauseMs: number | null; removeMs: number | null} {
  const wanted = [seen_at, released_at].flatMap((time) => (time === null ? [] : [Date.parse(time)]));
  if (wanted.length === 0) return {pauseMs: null, removeMs: null};
  const wantedMs = Math.max(...wanted);
  const pauses = [
    ...(pauseAfterMs === null ? [] : [pauseAfterMs]),
    ...(removeAfterMs === null ? [] : [removeAfterMs - noticeMs(removeAfterMs)]),
  ];
  if (pauses.length === 0) return {pauseMs: null, removeMs: null};
  const pauseMs = wantedMs + Math.min(...pauses);
  if (removeAfterMs === null) return {pauseMs, removeMs: null};
  // Whatever passed while no controller was there to say so, nobody finds it gone without a word before.
  const pausedMs = pause?.reason === 'idle' ? Date.parse(pause.since) : pauseMs;
  return {pauseMs, removeMs: Math.max(wantedMs + removeAfterMs, pausedMs + noticeMs(removeAfterMs))};
}

/** The pause of a preview as its idle limits want it now. One that waits since first contact goes on waiting. */
export function pauseAt(record: IdleFacts, limits: IdleLimits, nowMs: number): BranchRecord['pause'] {
  if (record.pause?.reason === 'first_contact') return record.pause;
  const {pauseMs} = endsOf(record, limits);
  if (pauseMs === null || nowMs < pauseMs) return null;
  return record.pause ?? {reason: 'idle', since: new Date(nowMs).toISOString()};
}

/** When a preview that is paused goes; null where it may stay. */
export function idleRemovalMs(record: IdleFacts, limits: IdleLimits): number | null {
  return record.pause?.reason === 'idle' ? endsOf(record, limits).removeMs : null;
}

/** What to know before a preview is paused; null while there is time. */
export function idleNotice(record: IdleFacts, limits: IdleLimits, nowMs: number): string | null {
  const {pauseMs} = endsOf(record, limits);
  const shortestMs = Math.min(limits.pauseAfterMs ?? Infinity, limits.removeAfterMs ?? Infinity);
  if (pauseMs === null || record.pause !== null || nowMs < pauseMs - noticeMs(shortestMs)) return null;
  const at = new Date(pauseMs).toISOString();
  return `Nobody has pushed it for long: it is paused at ${at}, unless somebody pushes it or runs: branchtab release ${record.branch}`;
}
