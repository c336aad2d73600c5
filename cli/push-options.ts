import {durationSchema} from '../schemas/duration.ts';

/** What whoever pushes asks for with `git push -o`. */
export interface PushOptions {
  /** The commits are not to run. */
  readonly skip: boolean;
  /** How long to wait for what becomes of them; null for not at all. */
  readonly waitMs: number | null;
  /** Of ours, what is not understood; for people. */
  readonly unknown: readonly string[];
}

const defaultWaitMs = 60_000;
/** Whoever pushes keeps a process of the server busy. */
const longestWaitMs = 15 * 60_000;
/** Git bounds neither their number nor their size. */
const mostOptions = 100;

/** Reads the options as git hands them to hooks. Those of other programs are left alone. */
export function readPushOptions(environment: Readonly<Record<string, string | undefined>>): PushOptions {
  const count = Math.min(Number(environment.GIT_PUSH_OPTION_COUNT ?? 0) || 0, mostOptions);
  const unknown: string[] = [];
  let skip = false;
  let waitMs: number | null = null;
  for (let index = 0; index < count; index += 1) {
    const option = environment[`GIT_PUSH_OPTION_${index}`] ?? '';
    if (!option.startsWith('branchtab.')) continue;
    const wait = /^branchtab\.wait(?:=(.*))?$/s.exec(option);
    if (option === 'branchtab.skip') skip = true;
    else if (wait === null) unknown.push(shown(option));
    else {
      const duration =
        wait[1] === undefined ? {success: true, data: defaultWaitMs} : durationSchema.safeParse(wait[1]);
      if (duration.success && duration.data !== undefined) waitMs = Math.min(duration.data, longestWaitMs);
      else unknown.push(shown(option));
    }
  }
  return {skip, waitMs, unknown};
}

function shown(option: string): string {
  return option.slice(0, 60);
}
