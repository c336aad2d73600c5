import * as z from 'zod';
import {entryItemSchema, entryListSchema} from '../schemas/cron-api.ts';
import {type OutputEvent, outputEventSchema, type Why, whySchema} from '../schemas/cron-run-api.ts';
import {AppError} from '../schemas/errors.ts';
import {type Run, runSchema} from '../schemas/run.ts';
import {answeredError} from './answered-error.ts';
import {readServerSentEvents} from './server-sent-events.ts';

/** One user's jobs in one container, over the address of its cron service. Errors are AppErrors with its own codes. */
export interface CronClient {
  /** The id of a job, by id, beginning of one, or name. Throws ENTRY_NOT_FOUND, INVALID_ID where it is not clear. */
  find(wanted: string): Promise<string>;
  /** Makes an entry and gives its id. */
  create(entry: {schedule: string; command: string; enabled: boolean; expires_at: string}): Promise<string>;
  remove(id: string): Promise<void>;
  run(id: string): Promise<Run>;
  /** Newest first. */
  runs(query: {limit: string}): Promise<Run[]>;
  /** What a run writes, from its beginning; the last event is its end. */
  follow(runId: string, options: {signal: AbortSignal}): AsyncIterable<OutputEvent>;
  pause(
    id: string,
    request: {reason: string | null; until: string | null; owner: string | null},
  ): Promise<void>;
  resume(id: string): Promise<void>;
  /** Whether and why a job ran in the minute of `at`, RFC 3339. */
  why(job: string, at: string): Promise<Why>;
}

const requestTimeoutMs = 30_000;
const pageSize = 200;

export function createCronClient({url, user}: {url: string; user: string}): CronClient {
  const base = `${url}/users/${encodeURIComponent(user)}`;
  const call = async <T>(schema: z.ZodType<T>, method: string, path: string, body?: object): Promise<T> => {
    const response = await fetch(`${base}${path}`, {
      method,
      signal: AbortSignal.timeout(requestTimeoutMs),
      ...(body === undefined
        ? {}
        : {body: JSON.stringify(body), headers: {'Content-Type': 'application/json'}}),
    });
    if (!response.ok) throw await answeredError(response, 'cron service');
    return schema.parse(await response.json());
  };
  const entryPath = (id: string) => `/entries/${encodeURIComponent(id)}`;

  return {
    async find(wanted) {
      const found: {id: string; name: string | null}[] = [];
      for (let page = 1; ; page += 1) {
        const {entries, total} = await call(
          entryListSchema,
          'GET',
          `/entries?page=${page}&limit=${pageSize}`,
        );
        for (const {id, name = null} of entries) if (id !== undefined) found.push({id, name});
        if (page * pageSize >= total) break;
      }
      const named = found.filter(({name}) => name === wanted);
      const matching =
        named.length > 0
          ? named
          : found.filter(({id}) => wanted.length >= 4 && id.startsWith(wanted.toLowerCase()));
      const [job, other] = matching;
      if (job !== undefined && other === undefined) return job.id;
      if (other !== undefined)
        throw new AppError(
          'INVALID_ID',
          `More than one job is called ${JSON.stringify(wanted)}; write the beginning of its id: ${matching.map(({id}) => id.slice(0, 8)).join(', ')}`,
        );
      const names = [...new Set(found.flatMap(({name}) => name ?? []))].slice(0, 20);
      throw new AppError(
        'ENTRY_NOT_FOUND',
        `There is no job ${JSON.stringify(wanted)}; there are ${names.length === 0 ? 'none with a name' : names.join(', ')}`,
      );
    },
    create: async (entry) => (await call(z.object({id: z.string()}), 'POST', '/entries', entry)).id,
    async remove(id) {
      await call(z.unknown(), 'DELETE', entryPath(id));
    },
    runs: async (query) =>
      (await call(z.object({items: z.array(runSchema)}), 'GET', `/runs?${new URLSearchParams(query)}`)).items,
    run: (id) => call(runSchema, 'POST', `${entryPath(id)}/run`),
    async *follow(runId, {signal}) {
      const response = await fetch(`${base}/runs/${runId}/output?follow=1`, {signal});
      if (!response.ok) throw await answeredError(response, 'cron service');
      for await (const {data} of readServerSentEvents(response))
        yield outputEventSchema.parse(JSON.parse(data));
    },
    async pause(id, {reason, until}) {
      await call(entryItemSchema.or(z.object({id: z.string()})), 'POST', `${entryPath(id)}/pause`, {
        reason,
        until,
      });
    },
    async resume(id) {
      await call(z.object({id: z.string()}), 'POST', `${entryPath(id)}/resume`);
    },
    why: (job, at) => call(whySchema, 'GET', `/why?${new URLSearchParams({entry: job, at})}`),
  };
}
