import * as z from 'zod';
import {issueSchema} from './issue.ts';

const createTotalSchema = () => z.object({jobs: z.int(), runs_per_day: z.number()});

const plannedJobSchema = z.object({
  user: z.string(),
  name: z.string().nullable(),
  file: z.string(),
  line: z.int(),
  schedule: z.string(),
  schedule_human: z.string(),
  command: z.string(),
  timezone: z.string(),
  runs_per_day: z.number().meta({description: 'Mean over the year to come.'}),
  next: z.array(z.string()).meta({description: 'The next five runs, RFC 3339 UTC.'}),
});
export type PlannedJob = z.infer<typeof plannedJobSchema>;

/** What a change of files means for what runs. */
export const scheduleChangeSchema = z
  .object({
    base: z.object({name: z.string(), commit: z.string()}),
    head: z.object({name: z.string(), commit: z.string()}),
    timezone: z.string().meta({description: 'Of lines without one.'}),
    merge: z
      .object({
        kind: z.enum(['head', 'merged', 'contained', 'conflicts', 'unknown']),
        conflicts: z.array(z.string()),
      })
      .meta({
        description:
          '`head`: the base has nothing that the head lacks. `merged`: both have changes, and what a merge makes of them is planned. Otherwise the files of the head are: `contained`: the base has all of it already; `conflicts`: in these files; `unknown`: git could not say.',
      }),
    running: z
      .object({
        branch: z.string(),
        revision: z.string().nullable(),
        condition: z.string(),
        entries: z.int().meta({description: 'Entries of the API beside; no commit changes them.'}),
        differs: z.array(z.object({what: z.enum(['added', 'changed', 'removed']), job: z.string()})),
      })
      .nullable()
      .meta({
        description:
          'What really runs of the base, and how its lines differ from it; null without a controller.',
      }),
    added: z.array(plannedJobSchema),
    changed: z.array(
      z.object({
        before: plannedJobSchema,
        after: plannedJobSchema,
        what: z.array(z.enum(['schedule', 'command', 'variables', 'options', 'timezone', 'script'])),
      }),
    ),
    removed: z.array(plannedJobSchema),
    same: z.array(plannedJobSchema).meta({description: 'Jobs that both have, with the same files.'}),
    totals: z
      .object({before: createTotalSchema(), after: createTotalSchema()})
      .meta({description: 'Of all jobs of the base, and of what takes its place.'}),
    scripts: z.object({
      added: z.array(z.string()),
      changed: z.array(z.string()),
      removed: z.array(z.string()),
    }),
    settings: z.object({preview: z.array(z.string()), live: z.array(z.string())}).meta({
      description: 'What .hoody/settings.yaml of the head tightens, as a preview and when it is live.',
    }),
    issues: z.array(issueSchema).meta({description: 'With one of them nothing of the head is applied.'}),
    warnings: z.array(issueSchema),
    collisions: z
      .array(z.object({job: plannedJobSchema, branches: z.array(z.string()), url: z.string().nullable()}))
      .meta({
        description:
          'New and changed jobs of which another branch runs the command, or asks for the address (`url`), in the same minute.',
      }),
    load: z
      .object({from: z.string(), minutes: z.array(z.int())})
      .meta({description: 'How many jobs begin in each minute of the day to come.'}),
    busiest: z
      .array(z.object({at: z.string(), jobs: z.int()}))
      .meta({description: 'The fullest minutes of the day to come.'}),
  })
  .meta({id: 'ScheduleChange'});
export type ScheduleChange = z.infer<typeof scheduleChangeSchema>;
