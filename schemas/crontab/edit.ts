import {type Crontab, type CrontabLine, printCrontab, rawText} from '../crontab.ts';
import {escapePercent} from './command.ts';
import {disabledPrefix, type Metadata, printMetadata} from './managed.ts';

/** What the two lines of a managed entry hold. `schedule` is a valid schedule, `command` has no line end. */
export interface ManagedRule {
  readonly metadata: Metadata;
  readonly schedule: string;
  readonly command: string;
  readonly enabled: boolean;
}

/**
 * Puts a new pair above all raw lines, so that no variable of theirs applies to it. Removing it again gives the
 * text back byte for byte.
 */
export function insertManaged({lines}: Crontab, rule: ManagedRule): string {
  const leading = lines.findIndex(({managedJob}) => managedJob === null);
  const before = printCrontab(leading === -1 ? lines : lines.slice(0, leading));
  const after = printCrontab(leading === -1 ? [] : lines.slice(leading));
  const complete = before === '' || before.endsWith('\n');
  return complete ? before + printPair(rule) + after : printPair(rule) + before + after;
}

/** Writes the pair of the entry at `job` anew, in its place. */
export function replaceManaged({lines}: Crontab, job: number, rule: ManagedRule): string {
  const first = lines.findIndex(({managedJob}) => managedJob === job);
  const isOther = ({managedJob}: CrontabLine) => managedJob !== job;
  return (
    printCrontab(lines.slice(0, first)) + printPair(rule) + printCrontab(lines.slice(first).filter(isOther))
  );
}

/** Leaves the pairs out whose entry `isGone`. */
export function removeManaged({lines, jobs}: Crontab, isGone: (metadata: Metadata) => boolean): string {
  const stays = ({managedJob}: CrontabLine) => {
    const metadata = managedJob === null ? null : jobs[managedJob]?.managed;
    return metadata === null || metadata === undefined || !isGone(metadata);
  };
  return printCrontab(lines.filter(stays));
}

/** The managed pairs of `current` above the raw text `raw`. Where the raw text is the same, so is the whole text. */
export function keepManaged(current: Crontab, raw: string): string {
  if (rawText(current) === raw) return printCrontab(current.lines);
  const pairs = printCrontab(current.lines.filter(({managedJob}) => managedJob !== null));
  return pairs === '' || pairs.endsWith('\n') ? pairs + raw : `${pairs}\n${raw}`;
}

function printPair({metadata, schedule, command, enabled}: ManagedRule): string {
  const rule = `${schedule} ${escapePercent(command)}`;
  return `${printMetadata(metadata)}\n${enabled ? rule : `${disabledPrefix} ${rule}`}\n`;
}
