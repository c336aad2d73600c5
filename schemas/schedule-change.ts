import * as z from 'zod';
import {issueSchema} from './issue.ts';

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
      .array(z.object({job: plannedJobSchema, branches: z.array(z.string())}))
      .meta({description: 'New and changed jobs whose command another branch runs in the same minute.'}),
    busiest: z
      .array(z.object({at: z.string(), jobs: z.int()}))
      .meta({description: 'The fullest minutes of the day to come.'}),
  })
  .meta({id: 'ScheduleChange'});
export type ScheduleChange = z.infer<typeof scheduleChangeSchema>;
