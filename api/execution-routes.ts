import {Hono} from 'hono';
import type {ExecService} from '../runtime/exec/service.ts';
import {AppError} from '../schemas/errors.ts';
import type {ExecutionEvent} from '../schemas/execution.ts';
import {type ExecutionStatus, executionStatuses} from '../schemas/execution-status.ts';
import {readCount, readInstant} from './cron-query.ts';

const maxLimit = 200;
const defaultLimit = 50;
const maxSearchLength = 1000;

/** The records of calls, with paths below `/api/v1/exec/executions`. */
export function executionRoutes(exec: Pick<ExecService, 'executions'>): Hono {
  const app = new Hono();

  app.get('/', async (c) => {
    const executions = await exec.executions();
    const query = c.req.query();
    const wanted = {
      script: query.script ?? null,
      status: readStatus(query.status),
      commit: query.commit ?? null,
      runId: query.run ?? null,
      sinceMs: readInstant(query, 'since'),
      untilMs: readInstant(query, 'until'),
      cursor: query.cursor ?? null,
      limit: readCount(query, 'limit', defaultLimit, maxLimit),
    };
    const search = readSearch(query.search);
    return c.json(await (search === null ? executions.list(wanted) : executions.search({...wanted, search})));
  });

  app.get('/follow', async (c) => {
    const executions = await exec.executions();
    const {script = null, status} = c.req.query();
    return eventStream((signal) => executions.follow({id: null, script, status: readStatus(status)}, signal));
  });

  app.get('/:id', async (c) => c.json((await exec.executions()).get(c.req.param('id'))));

  app.get('/:id/follow', async (c) => {
    const executions = await exec.executions();
    const id = c.req.param('id');
    // Before the stream begins, so that an unknown id is an answer of its own.
    executions.get(id);
    return eventStream((signal) => executions.follow({id, script: null, status: null}, signal));
  });

  return app;
}

/** Throws INVALID_QUERY. */
function readSearch(text: string | undefined): string | null {
  if (text === undefined) return null;
  if (text !== '' && text.length <= maxSearchLength) return text;
  throw new AppError('INVALID_QUERY', `search is a text of 1 to ${maxSearchLength} characters.`);
}

/** Throws INVALID_QUERY. */
function readStatus(text: string | undefined): ExecutionStatus | null {
  if (text === undefined) return null;
  const status = executionStatuses.find((known) => known === text);
  if (status !== undefined) return status;
  throw new AppError('INVALID_QUERY', `status is one of ${executionStatuses.join(', ')}.`);
}

/** Reads on only as fast as the client does. */
function eventStream(open: (signal: AbortSignal) => AsyncIterator<ExecutionEvent>): Response {
  const encoder = new TextEncoder();
  const left = new AbortController();
  const events = open(left.signal);
  const body = new ReadableStream<Uint8Array>({
    start(stream) {
      stream.enqueue(encoder.encode(': connected\n\n'));
    },
    async pull(stream) {
      const {value, done} = await events.next();
      if (done === true) stream.close();
      else stream.enqueue(encoder.encode(`event: ${value.type}\ndata: ${JSON.stringify(value)}\n\n`));
    },
    cancel: () => left.abort(),
  });
  return new Response(body, {
    headers: {'content-type': 'text/event-stream', 'cache-control': 'no-store'},
  });
}
