import * as z from 'zod';
import {issueSchema} from './issue.ts';

const place = {
  user: z.string(),
  job: z.string().nullable().meta({description: 'Its name.'}),
  file: z.string(),
  line: z.int(),
};

/** What the crontabs of a commit would run in a stretch of time. Times are RFC 3339 UTC. */
export const simulationSchema = z.object({
  head: z.object({name: z.string(), commit: z.string()}),
  from: z.string(),
  to: z.string().meta({description: 'Not part of it.'}),
  timezone: z.string().meta({description: 'Of lines without one.'}),
  runs: z.array(
    z.object({
      ...place,
      at: z.string(),
      wall: z.string().meta({description: "As the clock of the job's zone shows it."}),
      timezone: z.string(),
      clock: z.enum(['usual', 'after_gap', 'second_pass']).meta({
        description:
          '`after_gap`: it stands in for a time that the clock skipped. `second_pass`: the clock shows this time for the second time.',
      }),
    }),
  ),
  total: z.int().meta({description: 'Runs in that time; `runs` has the first of them.'}),
  jobs: z.array(
    z.object({
      ...place,
      command: z.string(),
      schedule: z.string(),
      timezone: z.string(),
      runs: z.int(),
      first: z.string().nullable(),
      last: z.string().nullable(),
    }),
  ),
  surprises: z.array(z.object({...place, at: z.string(), message: z.string()})).meta({
    description: 'What changes of the clock do to jobs in that time.',
  }),
  issues: z.array(issueSchema),
});
export type Simulation = z.infer<typeof simulationSchema>;
