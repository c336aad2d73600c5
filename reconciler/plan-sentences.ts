import {formatRate} from '../schemas/run-rate.ts';
import type {ScheduleChange} from '../schemas/schedule-change.ts';

/** What `.hoody/settings.yaml` of the head tightens. Sentences hold names and texts from git as they are. */
export function settingsLines({settings: {preview, live}}: Pick<ScheduleChange, 'settings'>): string[] {
  return [
    ...preview.map((effect) => `settings of a preview: ${effect}`),
    ...live.map((effect) => `settings once live: ${effect}`),
  ];
}

/** How what is planned came about; none where it is the head itself. */
export function mergeLines({
  base: {name: to},
  head: {name: from},
  merge: {kind, conflicts},
}: Pick<ScheduleChange, 'base' | 'head' | 'merge'>): string[] {
  switch (kind) {
    case 'head':
      return [];
    case 'merged':
      return [`${to} has changes that ${from} lacks: this is what merging makes of both`];
    case 'contained':
      return [`${to} has all of ${from} already: this is what going back to it changes`];
    case 'conflicts':
      return [`warning merging conflicts in ${conflicts.join(', ')}: this is ${from} as it is`];
    case 'unknown':
      return [
        `warning git cannot say what merging makes (it takes git 2.38 and the whole history): this is ${from} as it is`,
      ];
  }
}

export function totalLines({
  base,
  added,
  changed,
  removed,
  totals: {before, after},
}: Pick<ScheduleChange, 'base' | 'added' | 'changed' | 'removed' | 'totals'>): string[] {
  if (added.length + changed.length + removed.length === 0) return [];
  const words = ({jobs, runs_per_day}: typeof before) =>
    `${jobs} ${jobs === 1 ? 'job' : 'jobs'}, ${formatRate(runs_per_day)} a day`;
  return [`once merged, ${base.name} runs ${words(after)} (now ${words(before)})`];
}

/** How what really runs differs from the base. */
export function runningLines({base, running}: Pick<ScheduleChange, 'base' | 'running'>): string[] {
  if (running === null) return [];
  const {branch, revision, condition, entries, differs} = running;
  const at = revision === null ? 'runs no commit yet' : `runs commit ${revision.slice(0, 8)}`;
  return [
    ...(revision === base.commit
      ? []
      : [`running ${branch} ${at}, not ${base.commit.slice(0, 8)}: ${condition}`]),
    ...differs.map(({what, job}) => `running ${branch} ${what} by hand: ${job}`),
    ...(entries === 0
      ? []
      : [
          `running ${branch} has ${entries} ${entries === 1 ? 'entry' : 'entries'} of the API beside, which ${entries === 1 ? 'stays' : 'stay'}`,
        ]),
  ];
}

export function collisionLine({job, branches, url}: ScheduleChange['collisions'][number]): string {
  const what = url === null ? 'runs the same command' : `asks for ${url}`;
  return `${job.file}:${job.line} ${branches.join(', ')} ${what} in the same minute`;
}
