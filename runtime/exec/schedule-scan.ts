import {nextRun} from '../../schemas/schedule/next-run.ts';
import {parseSchedule, type Schedule} from '../../schemas/schedule/parse.ts';
import type {Zone} from '../../schemas/schedule/zone.ts';
import type {DeploymentStore} from './deployment-store.ts';
import {readMagicComments} from './magic-comments.ts';

/** A script that says in its own comments when it runs. Times are UTC. */
export interface ScheduledScript {
  readonly scriptPath: string;
  readonly text: string;
  /** Null where the text is no schedule; `issue` says why. */
  readonly schedule: Schedule | null;
  readonly issue: string | null;
  /** Null for what holds for every call. */
  readonly timeoutMs: number | null;
}

/** Those of the present set. A set of a commit has none: there `.hoody/crontab` says when. */
export async function scanSchedules(store: DeploymentStore): Promise<readonly ScheduledScript[]> {
  const current = store.current();
  if (current === null || current.commit !== null) return [];
  const scripts = current.files.filter(({path}) => /\.[jt]s$/.test(path));
  const found = await Promise.all(
    scripts.map(async ({path}) => {
      const script = await store.read(path, current);
      return script === null ? null : scheduledScript(path, new TextDecoder().decode(script.bytes));
    }),
  );
  return found.filter((script) => script !== null);
}

/** Null for a script without `@schedule`, and for one that is switched off. */
export function scheduledScript(scriptPath: string, text: string): ScheduledScript | null {
  const comments = readMagicComments(text);
  const {schedule: words, enabled, websocket} = comments;
  if (words === undefined || enabled === 'false') return null;
  const timeout = Number(comments['schedule-timeout']);
  const base = {
    scriptPath,
    text: words,
    timeoutMs: Number.isSafeInteger(timeout) && timeout > 0 ? timeout : null,
  };
  if (websocket !== undefined)
    return {...base, schedule: null, issue: 'A websocket script cannot run on a schedule.'};
  const parsed = parseSchedule(words);
  if (!parsed.ok) return {...base, schedule: null, issue: parsed.issue.message};
  if (parsed.schedule.reboot) return {...base, schedule: null, issue: '@reboot is for .hoody/crontab.'};
  return {...base, schedule: parsed.schedule, issue: null};
}

/** Strictly after `afterMs`; null for one that never runs. */
export function nextRunOf({schedule}: ScheduledScript, zone: Zone, afterMs: number): number | null {
  return schedule === null ? null : nextRun(schedule, zone, afterMs);
}
