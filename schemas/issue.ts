import * as z from 'zod';

/**
 * Something wrong in a file of a branch. `line` and `column` count from 1; `column` counts UTF-16 code
 * units. `code` is lower_snake and stable; `message` says what is wrong and what to write instead.
 */
export const issueSchema = z
  .object({
    file: z.string().meta({example: '.hoody/crontab'}),
    line: z.int().min(1),
    column: z.int().min(1),
    code: z.string().meta({example: 'schedule_invalid'}),
    message: z.string(),
  })
  .meta({id: 'Issue', description: 'A problem in a file of the branch, with its position.'});

export type Issue = z.infer<typeof issueSchema>;

/** An issue before the parser's caller says in which file it stands. */
export type TextIssue = Omit<Issue, 'file'>;
