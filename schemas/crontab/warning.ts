import * as z from 'zod';

/** Something legal that is seldom meant. `line` and `column` count from 1; `code` is lower_snake and stable. */
export const crontabWarningSchema = z
  .object({
    code: z.string().meta({example: 'never_runs'}),
    message: z.string(),
    line: z.int(),
    column: z.int(),
  })
  .meta({id: 'CrontabWarning', description: 'Something legal in a crontab that is seldom meant.'});
export type CrontabWarning = z.infer<typeof crontabWarningSchema>;
