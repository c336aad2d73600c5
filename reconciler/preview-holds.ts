import {heldLine} from '../schemas/control.ts';
import {derivedName} from '../schemas/crontab/command.ts';
import {parseCrontab, ruleOf} from '../schemas/crontab.ts';
import {scriptsDirectory} from '../schemas/script-settings.ts';
import type {CrontabFile} from './observation.ts';

/** What a preview runs of its crontab. */
export type PreviewRun = 'all' | 'changed' | 'none';

/** Lines that a container holds: all of the raw crontabs, or those named by `heldLine`. */
export type HeldLines = 'all' | string[];

/** What was let go by hand: everything, or the jobs with these names and rules. */
export interface Released {
  readonly all: boolean;
  readonly jobs: readonly string[];
}

/**
 * The lines of a preview's crontabs that must not run by themselves. With `changed` these are the ones that live has
 * too, with the same variables and options, as long as no file that they name differs from live's.
 */
export function heldLines(
  run: PreviewRun,
  {
    crontabs,
    live,
    released,
  }: {
    crontabs: readonly CrontabFile[];
    /** null where nothing is known of it; then nothing is the same. */
    live: {readonly crontabs: readonly CrontabFile[]; readonly changedPaths: readonly string[]} | null;
    released: Released;
  },
): HeldLines {
  if (run === 'all' || released.all) return [];
  const letGo = (line: Line) => released.jobs.includes(line.name ?? '') || released.jobs.includes(line.rule);
  const lines = linesOf(crontabs).filter((line) => !letGo(line));
  if (run === 'none')
    return released.jobs.length === 0 ? 'all' : lines.map(({user, rule}) => heldLine(user, rule));
  if (live === null) return [];
  const isChanged = namesOneOf(live.changedPaths);
  const liveLines = new Set(linesOf(live.crontabs).map(({identity}) => identity));
  return lines
    .filter(({identity}) => liveLines.has(identity))
    .filter(({command}) => !isChanged(command))
    .map(({user, rule}) => heldLine(user, rule));
}

interface Line {
  readonly user: string;
  readonly rule: string;
  readonly name: string | null;
  readonly command: string;
  /** All that decides what the line does and when. */
  readonly identity: string;
}

function linesOf(crontabs: readonly CrontabFile[]): Line[] {
  return crontabs.flatMap(({file, user, text}) =>
    parseCrontab(text, {file, managedAllowed: false}).jobs.map((job) => ({
      user,
      rule: ruleOf(job),
      name: job.givenName ?? derivedName(job.command),
      command: job.command,
      identity: JSON.stringify([user, ruleOf(job), job.environment, job.timeZone, job.options]),
    })),
  );
}

/** True where a job of the crontabs has this name or rule. */
export function hasJob(crontabs: readonly CrontabFile[], wanted: string): boolean {
  return linesOf(crontabs).some(({name, rule}) => name === wanted || rule === wanted);
}

/**
 * Whether a command names one of the files by its path or by its name, or a script by its address. In doubt it does.
 * What is made of the paths is made once: a plan asks for a thousand commands.
 */
export function namesOneOf(paths: readonly string[]): (command: string) => boolean {
  const fileNames = new Set(paths.map((path) => path.slice(path.lastIndexOf('/') + 1)));
  const scripts = paths
    .filter((path) => path.startsWith(scriptsDirectory))
    .map((path) => `/${path.slice(scriptsDirectory.length).replace(/(?:\/index)?\.[a-z]+$/, '')}/`);
  return (command) => {
    if (paths.length === 0) return false;
    const words = command.match(/[^\s'"`;|&()<>$={}?]+/g) ?? [];
    return (
      words.some((word) => fileNames.has(word.slice(word.lastIndexOf('/') + 1))) ||
      (scripts.length > 0 && words.some((word) => scripts.some((script) => `${word}/`.includes(script))))
    );
  };
}
