import {createHash} from 'node:crypto';
import * as z from 'zod';
import {issueSchema} from '../../schemas/issue.ts';

/**
 * `neutral`: settled, and neither good nor bad. `error`: not the commit's fault as far as is known, and tried again.
 */
export const verdictStateSchema = z.enum(['pending', 'success', 'neutral', 'failure', 'error']);
export type VerdictState = z.infer<typeof verdictStateSchema>;

/** What is to stand on a forge. Texts are such as a forge takes: nothing from git in them is markup. */
export const reportSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('verdict'),
    /** `host/owner/name`, as in every report. */
    repository: z.string(),
    key: z.string(),
    live: z.boolean(),
    commit: z.string(),
    /** Of the check run, or context of the status. */
    name: z.string(),
    state: verdictStateSchema,
    /** One line of at most 140 characters. */
    title: z.string(),
    /** Markdown. */
    summary: z.string(),
    url: z.string().nullable(),
    annotations: z.array(issueSchema.extend({level: z.enum(['failure', 'warning'])})),
  }),
  z.object({
    kind: z.literal('deployment'),
    repository: z.string(),
    key: z.string(),
    live: z.boolean(),
    commit: z.string(),
    environment: z.string(),
    state: z.enum(['success', 'inactive']),
    url: z.string().nullable(),
  }),
  z.object({
    kind: z.literal('comment'),
    repository: z.string(),
    pull_request: z.int(),
    /** First line of the comment, by which it is found again; nobody can know it before it is written. */
    marker: z.string(),
    /** Markdown. */
    body: z.string(),
  }),
]);
export type Report = z.infer<typeof reportSchema>;
export type VerdictReport = Extract<Report, {kind: 'verdict'}>;

/** The one place on the forge that a report is about. */
export function targetOf(report: Report): string {
  return report.kind === 'comment'
    ? commentTarget(report.repository, report.pull_request)
    : `${report.kind}:${report.key}:${report.commit}`;
}

export function commentTarget(repository: string, pullRequest: number): string {
  return `comment:${repository}#${pullRequest}`;
}

/** Of what a report says, without what only the clock changes. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 32);
}
