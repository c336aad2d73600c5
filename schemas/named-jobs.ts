import {derivedName} from './crontab/command.ts';
import {type CrontabJob, parseCrontab} from './crontab.ts';
import {createZone, type Zone} from './schedule/zone.ts';

/** A job of a branch's crontabs with what people know it by. */
export interface NamedJob {
  readonly user: string;
  readonly file: string;
  /** Its line as written. */
  readonly text: string;
  readonly job: CrontabJob;
  readonly name: string | null;
  readonly zone: Zone;
}

/** The jobs of crontabs, in their order; `timeZone` is that of lines without one. Lines with issues give none. */
export function namedJobs(
  crontabs: readonly {readonly user: string; readonly file: string; readonly text: string}[],
  timeZone: string,
): NamedJob[] {
  const zones = new Map<string, Zone>();
  const zoneOf = (name: string) => {
    const zone = zones.get(name) ?? createZone(name);
    zones.set(name, zone);
    return zone;
  };
  return crontabs.flatMap(({file, user, text}) => {
    const {jobs, lines} = parseCrontab(text, {file, managedAllowed: false});
    return jobs.map((job) => ({
      user,
      file,
      text: lines[job.line - 1]?.text ?? '',
      job,
      name: job.givenName ?? derivedName(job.command),
      zone: zoneOf(job.timeZone ?? timeZone),
    }));
  });
}
